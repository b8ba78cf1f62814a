"""Dagster's webserver, behind SameOriginMiddleware: `python -m finops_assets.defs.webserver`, with its own options.

Both ways to serve the UI start this: `finops dev` (defs/dagster_dev.py) and the image (deploy/start). It loads nothing
of the platform and reads no settings. DAGSTER_UI_URL in its environment is the address at which people open the UI,
where that is not this machine's own: `finops dev` takes it from `alerts.dagster_url`, Terraform from `ui.host`.
"""

from __future__ import annotations

import os
import sys

from starlette.types import ASGIApp

from finops_assets.core.errors import SettingsError
from finops_assets.defs.private import run_webserver
from finops_assets.defs.same_origin import SameOriginMiddleware, public_origin


def main() -> None:
    """Serve until the process is ended; `DAGSTER_WEBSERVER_*` in the environment are options too."""
    try:
        public = public_origin(os.environ.get("DAGSTER_UI_URL", ""), "DAGSTER_UI_URL")
    except SettingsError as error:
        sys.exit(f"error: {error}")

    def behind_middleware(app: ASGIApp, host: str) -> ASGIApp:
        return SameOriginMiddleware(app, host, public)

    run_webserver(behind_middleware)


if __name__ == "__main__":
    main()

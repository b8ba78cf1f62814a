"""The code location that `workspace.yaml` loads: settings -> platform -> Dagster Definitions.

Nothing happens at import. Dagster calls `defs`; tests and the command call `defs.build.build_definitions` with a
platform of their own.
"""

from __future__ import annotations

import dagster as dg


@dg.definitions
def defs() -> dg.Definitions:
    """The platform that finops.toml and the environment name."""
    from finops_assets.defs.build import build_definitions
    from finops_assets.platform import build_platform
    from finops_assets.settings.load import load_settings

    return build_definitions(build_platform(load_settings()))

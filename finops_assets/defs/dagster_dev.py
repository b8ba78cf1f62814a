"""`dagster dev` with our webserver in the place of Dagster's: `python -m finops_assets.defs.dagster_dev`, same options.

`finops dev` starts it (finops_assets/dev.py). It starts code server, webserver and daemon as `dagster dev` does.
"""

from __future__ import annotations

from finops_assets.defs.private import run_dev_command

if __name__ == "__main__":
    run_dev_command("finops_assets.defs.webserver")

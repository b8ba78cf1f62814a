"""`dagster dev` with our webserver in the place of Dagster's: `python -m finops_assets.defs.dagster_dev`, same options.

`finops dev` starts it (finops_assets/cli/dev.py). It starts code server, webserver and daemon as `dagster dev` does.
"""

from __future__ import annotations

import sys
import warnings

if __name__ == "__main__":
    warnings.filterwarnings("ignore", message=".*dev_command.*superseded")  # its own command still says so of itself
    try:
        from finops_assets.defs.private import run_dev_command

        run_dev_command("finops_assets.defs.webserver")
    except KeyboardInterrupt:  # in the second in which it loads, or between two of the processes that it starts
        sys.exit(130)

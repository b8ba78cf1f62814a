"""Speed and memory, as ratios against floors and rivals measured in the same run: `make bench`."""

import os

# Where it is set, each process that is measured compiles our modules anew, while Dagster's lie ready: that adds the
# same to both sides of a ratio between runs of ours, and to one side of a ratio to an empty job.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

"""Runs all benchmarks, each in a process of its own, then prints one table of all bars; exits with 1 if one is not met.

`python -m benchmarks` (an hour); `--quick` leaves out 30 million lines, the pandas pipeline and 5,000 accounts. A part
that cannot be measured is a bar that is not met, and the others are measured all the same.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.report import ROWS, Row, finish

PARTS = {"runs": ["--quick"], "aws": ["--quick"], "sensors": [], "scale": ["50", "500"]}
"""The modules, and what they are given with --quick."""


def part(name: str, *arguments: str) -> list[Row]:
    """The rows of a part."""
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder) / "rows.json"
        command = [sys.executable, "-m", f"benchmarks.{name}", *arguments]
        done = subprocess.run(command, env={**os.environ, ROWS: str(place)}, check=False)
        if not place.is_file():
            return [Row(f"benchmarks.{name}", f"ended with {done.returncode}", "a result", met=False)]
        return [Row(**row) for row in json.loads(place.read_text())]


def main() -> None:
    """Run the parts, then show their rows together."""
    quick = "--quick" in sys.argv[1:]
    rows = []
    for name, arguments in PARTS.items():
        print(f"\nbenchmarks.{name}", flush=True)
        rows += part(name, *(arguments if quick else ()))
    print("\nAll bars")
    finish(rows)


if __name__ == "__main__":
    main()

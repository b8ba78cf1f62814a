# ruff: noqa: INP001  (a script of the image, in no package)
"""Lay one dagster.yaml over another: `overlay.py BASE OVER > RESULT`.

A block of OVER replaces the block of BASE that has the same name.
"""

from __future__ import annotations

import sys
from pathlib import Path

import yaml


def laid_over(base: str, over: str) -> str:
    """The YAML of `base` with the top-level blocks of `over`.

    Raises:
        ValueError: a block of `over` is not one of `base`: a word that is misspelt would change nothing.
    """
    below, above = yaml.safe_load(base), yaml.safe_load(over)
    if strange := sorted(above.keys() - below.keys()):
        raise ValueError(f"the base has no block {', '.join(strange)} to replace")
    return yaml.safe_dump(below | above, sort_keys=False)


if __name__ == "__main__":
    sys.stdout.write(laid_over(*(Path(name).read_text(encoding="utf-8") for name in sys.argv[1:])))

"""The home's folders, created with rights for their owner alone, as they hold costs and addresses.

A home that exists keeps its rights.
"""

from __future__ import annotations

from pathlib import Path

OWNER_ALONE = 0o700
OTHERS = 0o077
"""The rights that others than the owner have, in a file's mode."""


def make_home(folder: Path) -> None:
    """Create the home where it does not exist; folders above it get the usual rights."""
    folder.mkdir(OWNER_ALONE, parents=True, exist_ok=True)


def make_in_home(folder: Path) -> None:
    """Create a folder right below the home, and the home, where they do not exist."""
    make_home(folder.parent)
    folder.mkdir(exist_ok=True)


def make_archive(folder: Path) -> None:
    """Create the archive's folder, and the home, where they do not exist, both for their owner alone."""
    make_home(folder.parent)
    folder.mkdir(OWNER_ALONE, exist_ok=True)

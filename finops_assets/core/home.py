"""Folders of the home, which holds the bill's costs and its readers' addresses: it is made for its owner alone.

A home that exists keeps the rights that its owner has given it.
"""

from __future__ import annotations

from pathlib import Path

OWNER_ALONE = 0o700
OTHERS = 0o077
"""The rights that others than the owner have, in a file's mode."""


def make_home(folder: Path) -> None:
    """Make a home where there is none; folders above it get the usual rights."""
    folder.mkdir(OWNER_ALONE, parents=True, exist_ok=True)


def make_in_home(folder: Path) -> None:
    """Make a folder that stands right below the home, and the home, where they do not exist."""
    make_home(folder.parent)
    folder.mkdir(exist_ok=True)


def make_archive(folder: Path) -> None:
    """Make the archive's folder, and the home, where they do not exist: for their owner alone, both."""
    make_home(folder.parent)
    folder.mkdir(OWNER_ALONE, exist_ok=True)

"""The files below a folder, links followed: each file and each folder once, whatever leads to it."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from finops_assets.core.bill.layout import BROKEN, LINKED, OF_TOOLS, is_hidden

LOGS_OF_TABLES = frozenset(("_delta_log",))
"""Folders of programs that are listed all the same: they tell of what kind the files beside them are."""

NOT_ENTERED = OF_TOOLS - LOGS_OF_TABLES


@dataclass(frozen=True)
class WalkedFile:
    """A file, or a link that was not followed, and why."""

    path: Path
    reason: str = ""


def walk(root: Path) -> Iterator[WalkedFile]:
    """All files below a folder, those of its own folders first, then those behind links.

    A link to a folder that was walked already, or to one above the link, is not followed: it would
    lead in a circle, or count a file twice. A link to a file that was found already is not read, either.

    Raises:
        OSError: a folder cannot be listed.
    """
    files: set[str] = set()
    folders: set[str] = set()
    links: deque[Path] = deque()
    yield from _walk_own(root, files, folders, links)
    while links:
        link = links.popleft()
        target = os.path.realpath(link)
        if link.is_dir():
            if target in folders or Path(target) in Path(os.path.realpath(link.parent)).parents:
                yield WalkedFile(link, LINKED)
            else:
                yield from _walk_own(link, files, folders, links)
        elif not link.is_file():
            yield WalkedFile(link, BROKEN)
        elif target in files:
            yield WalkedFile(link, LINKED)
        else:
            files.add(target)
            yield WalkedFile(link)


def _walk_own(start: Path, files: set[str], folders: set[str], links: deque[Path]) -> Iterator[WalkedFile]:
    """The files in a folder and the folders that it really has; links are left for later.

    Args:
        start: the folder, or a link to one.
        files, folders: real paths of what was found; added to.
        links: added to.
    """
    left = [(start, os.path.realpath(start))]
    while left:
        folder, real = left.pop()
        if real in folders:
            continue
        folders.add(real)
        try:
            with os.scandir(folder) as listed:
                entries = sorted(listed, key=lambda entry: entry.name)
        except PermissionError:
            if folder != start and is_hidden(folder.name):
                continue  # no bill is read from it: it is no reason to refuse the bill beside it
            raise
        for entry in entries:
            path = folder / entry.name
            if entry.is_symlink():
                links.append(path)
            elif entry.is_dir():
                if entry.name not in NOT_ENTERED:
                    left.append((path, f"{real}/{entry.name}"))
            elif entry.is_file() and (own := f"{real}/{entry.name}") not in files:
                files.add(own)
                yield WalkedFile(path)

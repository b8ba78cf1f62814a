"""A folder as an object store, which is created by the first write; and whether a folder can be written."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from finops_assets.core.errors import ArchiveError
from finops_assets.core.home import make_archive

if TYPE_CHECKING:
    from obstore import GetResult, PutResult
    from obstore.store import LocalStore


def try_writing(folder: Path) -> Path:
    """Prove that a folder, or the nearest one above it that exists, can be written; returns that one.

    An unnamed temporary file is written, so that processes that start together do not collide.

    Raises:
        OSError: nothing can be written there.
    """
    existing = next(parent for parent in (folder.absolute(), *folder.absolute().parents) if parent.exists())
    with tempfile.TemporaryFile(dir=existing) as probe:
        probe.write(b"probe")
    return existing


def require_writable(folder: Path) -> None:
    """Prove that a folder of the home, which need not exist, can be written.

    Raises:
        ArchiveError: it cannot.
    """
    try:
        try_writing(folder)
    except OSError as error:
        raise ArchiveError(
            f"cannot be written: {error.strerror or error}", where=f"{folder} (home)", fix="Set FINOPS_HOME elsewhere."
        ) from None


class FolderStore:
    """The part of an obstore store that the archive uses, on a folder that need not exist.

    obstore's own store of a folder cannot be opened before the folder exists; a reader must not make it. Errors are
    obstore's, but for a folder in which nothing can be written.
    """

    def __init__(self, folder: str) -> None:
        self.folder = Path(folder).resolve()

    def _open(self) -> LocalStore | None:
        from obstore.store import LocalStore

        return LocalStore(str(self.folder)) if self.folder.exists() else None

    def list(self, prefix: str | None = None) -> Iterator[Sequence[Any]]:
        store = self._open()
        return iter(store.list(prefix)) if store else iter(())

    def get(self, path: str) -> GetResult:
        store = self._open()
        if store is None:
            raise FileNotFoundError(f"Object at location {path} not found: {self.folder} does not exist")
        return store.get(path)

    def put(self, path: str, data: bytes, **options: Any) -> PutResult:
        """Write an object; the folder is made where it does not exist.

        Raises:
            ArchiveError: nothing can be written in the folder.
        """
        from obstore.exceptions import AlreadyExistsError, BaseError
        from obstore.store import LocalStore

        try:
            make_archive(self.folder)
        except OSError:
            require_writable(self.folder)
            raise
        try:
            return LocalStore(str(self.folder)).put(path, data, **options)
        except (AlreadyExistsError, FileExistsError):  # what `mode="create"` says of an object that exists
            raise
        except (BaseError, OSError):
            require_writable(self.folder)
            raise

    def delete(self, path: str) -> None:
        """Remove an object.

        Raises:
            FileNotFoundError: it does not exist.
            ArchiveError: nothing can be written in the folder.
        """
        from obstore.exceptions import BaseError

        store = self._open()
        if store is None:
            raise FileNotFoundError(f"Object at location {path} not found: {self.folder} does not exist")
        try:
            store.delete(path)
        except FileNotFoundError:
            raise
        except (BaseError, OSError):
            require_writable(self.folder)
            raise

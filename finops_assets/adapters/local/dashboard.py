"""The dashboard as one self-contained HTML page, made anew from the archive at each refresh: a file, or an object."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any
from uuid import uuid4

from finops_assets.adapters.shared.dashboard_page import DashboardPage
from finops_assets.core.errors import ArchiveError
from finops_assets.core.home import make_home
from finops_assets.core.ports import Archive


class DashboardFile(DashboardPage):
    """The page as a file, whose folder is made if it does not exist; `options` are those of DashboardPage."""

    def __init__(self, archive: Archive, path: Path, **options: Any) -> None:
        super().__init__(archive, partial(_write_file, path), str(path), **options)


def _write_file(path: Path, page: bytes) -> None:
    part = path.with_name(f".{path.name}.{uuid4().hex}.part")
    try:
        make_home(path.parent)
        try:
            part.write_bytes(page)
            part.replace(path)
        finally:
            part.unlink(missing_ok=True)
    except OSError as error:
        raise ArchiveError(
            f"the dashboard cannot be written: {error.strerror or error}",
            where=str(path),
            fix="Make room or mend the folder's permissions, then refresh again.",
        ) from None

"""The account map as it is published in the archive."""

from __future__ import annotations

from typing import TYPE_CHECKING

from finops_assets.core.errors import ArchiveError
from finops_assets.core.notes import read_note, table_note
from finops_assets.core.ports import Archive
from finops_assets.core.schemas import ACCOUNT_MAP_PATH, ACCOUNT_OU_MAP

if TYPE_CHECKING:
    import pyarrow as pa


def read_account_map(archive: Archive) -> pa.Table:
    """The published map, which the breakdown uses.

    Raises:
        ArchiveError: it has not been published yet.
    """
    published = published_map(archive)
    if published is None:
        raise ArchiveError(
            "the account-to-OU map is not there yet", where=ACCOUNT_MAP_PATH, fix="Materialize account_ou_map first."
        )
    return published


def account_names(archive: Archive) -> dict[str, str]:
    """Account id -> its newest name, where it has one, by the published map; none where no map is published."""
    published = published_map(archive)
    rows = [] if published is None else published.sort_by([("valid_from", "ascending")]).to_pylist()
    return {row["account_id"]: row["account_name"] for row in rows if row["account_id"] and row["account_name"]}


def published_map(archive: Archive) -> pa.Table | None:
    """The published map, with a column more for each attribute of accounts.

    None before the first run, and after a damaged one was put aside.
    """
    note = table_note(ACCOUNT_OU_MAP, "an account map", ACCOUNT_MAP_PATH, texts=True)
    return read_note(archive, ACCOUNT_MAP_PATH, note, None)

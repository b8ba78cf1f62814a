"""The view finops_daily_summary: made, and made anew where it is outdated, and never in place of somebody else's.

Athena stores a view's text reworded, so that it cannot be compared with the statement that made it. What Glue held
after the last statement is kept in the archive: a view whose text is another was made by somebody else.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from finops_assets.adapters.aws.athena import Athena
from finops_assets.adapters.aws.bill_view import ViewText, tables_in, view_text
from finops_assets.adapters.aws.glue_tables import SUMMARY_VIEW, GlueTables
from finops_assets.core.errors import BillError
from finops_assets.core.ports import Archive
from finops_assets.core.records import RecordType
from finops_assets.core.schemas import DATABASE

STATE = "_state/finops_daily_summary.json"

FORMER_STATE = "_state/finops_daily_summary.sql"
"""What earlier releases kept: the statement alone."""

NAME = f"{DATABASE}.{SUMMARY_VIEW}"


@dataclass(frozen=True)
class ViewRecord:
    """The view as it was last made.

    Attributes:
        select: its SELECT, as Athena was given it.
        stored: SHA-256 of the text that Glue had then; empty while the statement is under way.
    """

    select: str
    stored: str = ""


RECORD = RecordType[ViewRecord](ViewRecord, "the state of the view finops_daily_summary")


class SummaryView:
    """Keeps the view.

    Args:
        tables: Glue's.
        athena: runs the statement.
        archive: keeps what was made.
    """

    def __init__(self, tables: GlueTables, athena: Athena, archive: Archive) -> None:
        self._tables, self._athena, self._archive = tables, athena, archive

    def provide(self, select: str) -> str:
        """Make the view, or make it anew where it has another text; one that was not made here stays.

        Args:
            select: its SELECT, in Athena's dialect.

        Returns:
            What of somebody else's has its name, `table` or `view`; empty where the view is there.
        """
        made, existing = self._made(), self._tables.summary_view()
        if existing and made and made.stored and made.select == select and self._is_ours(existing, made):
            return ""
        # What is known of it may be old: another run may have made it anew, somebody may have made one meanwhile.
        made, existing = self._made(), self._tables.summary_view(again=True)
        if existing is not None and not self._is_ours(existing, made):
            return "view" if existing.get("TableType") == "VIRTUAL_VIEW" else "table"
        # Written first: a run after one that was killed behind the statement must know the view again.
        RECORD.write(self._archive, STATE, ViewRecord(select))
        self._athena.run(f"CREATE OR REPLACE VIEW {NAME} AS\n{select}", "make the view finops_daily_summary")
        stored = _hash_of(self._tables.summary_view(again=True) or {})
        RECORD.write(self._archive, STATE, ViewRecord(select, stored))
        return ""

    def _made(self) -> ViewRecord | None:
        made = RECORD.read(self._archive, STATE)
        if made is None and (former := self._archive.get(FORMER_STATE)):
            made = ViewRecord(former.decode().partition(" AS\n")[2])
        return made

    def _is_ours(self, existing: Mapping[str, Any], made: ViewRecord | None) -> bool:
        if made is None or existing.get("TableType") != "VIRTUAL_VIEW":
            return False
        if made.stored:
            return made.stored == _hash_of(existing)
        # Its text is not known: the statement was under way, or an earlier release made it. It reads the same tables.
        try:
            theirs = view_text(NAME, existing)
            return sorted(tables_in(NAME, theirs)) == sorted(tables_in(NAME, ViewText(made.select, DATABASE)))
        except BillError:
            return False


def _hash_of(existing: Mapping[str, Any]) -> str:
    return hashlib.sha256((existing.get("ViewOriginalText") or "").encode()).hexdigest()

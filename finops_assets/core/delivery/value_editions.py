"""Collects what editions by the value of a dimension are made of: a team's rows, days and score."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import date, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING

from finops_assets.core.analytics import value_scores
from finops_assets.core.analytics.explanations import compared_day
from finops_assets.core.analytics.value_scores import ValueScore, value_series
from finops_assets.core.archive.dimension_sums import dimension_sums
from finops_assets.core.archive.kept_history import ROWS
from finops_assets.core.bill.dimension_keys import DimensionValue, is_of_bill
from finops_assets.core.errors import DamagedError
from finops_assets.core.reports.digest.calculation import COMPARED
from finops_assets.core.reports.digest.value_edition import ValuePart
from finops_assets.core.schemas import DIMENSIONS, dimensions_path

if TYPE_CHECKING:
    import pyarrow as pa

    from finops_assets.core.ports import Archive
    from finops_assets.core.values import PublishedDay

MOST_MOVED = 5
"""Accounts that an edition names as come or gone."""


class ValueEditions:
    """Collects the parts of the bill that have these values.

    Args:
        archive: as costs are shown.
        values: that somebody gets an edition of.
    """

    def __init__(self, archive: Archive, values: Iterable[DimensionValue]) -> None:
        self._archive = archive
        self._values = {str(value): value for value in values}
        self._read: dict[str, pa.Table | None] = {}

    def __contains__(self, name: str) -> bool:
        """Whether an edition is one by value."""
        return name in self._values

    def can_be_made(self, name: str, published: PublishedDay) -> bool:
        """Whether the value's cost on a day is known; of a day without its dimension, nothing could be said."""
        return not published.rows or self._of_key(published, self._values[name].key) is not None

    def subtotals(self, name: str, days: Mapping[date, PublishedDay]) -> dict[date, Decimal]:
        """The value's exact cost on each of these days on which it is known."""
        value = self._values[name]
        empty = {day: Decimal() for day, of in days.items() if not of.rows}
        series = value_series(self._archive, days).get(value.key)
        known = series.of(value.value) if series else empty
        return {day: cost for day, cost in sorted(known.items()) if day in days}

    def part(
        self,
        name: str,
        day: date,
        days: Mapping[date, PublishedDay],
        names: Mapping[str, str],
        before: PublishedDay | None,
    ) -> ValuePart:
        """The value's part of a digest.

        Args:
            name: of the edition.
            day: the digest's.
            days: that it shows, as the archive describes them.
            names: account id -> name.
            before: the day of the last mail.
        """
        value = self._values[name]
        in_full = {d: days[d] for n in COMPARED if (d := day - timedelta(days=n)) in days}
        tables = {d: table for d, of in in_full.items() if (table := self._of_key(of, value.key)) is not None}
        others = {d: of for d, of in days.items() if d not in in_full}
        known = {*tables, *self.subtotals(name, others), *(d for d, of in in_full.items() if not of.rows)}
        rows = [_with_value(table, value) for table in tables.values()]
        if others:
            rows.append(_with_value(dimension_sums(self._archive, others), value))
        score, last = self._score(days[day], value), self._score(before, value) if before else None
        return ValuePart(
            of=value,
            rows=_as_rows(rows),
            days=known,
            score=score,
            light_before=last.line.light if last else "",
            moved=() if is_of_bill(value.key) else tuple(_moved(value, day, tables, names)),
            archive_path=dimensions_path(day),
        )

    def _score(self, published: PublishedDay, value: DimensionValue) -> ValueScore | None:
        return next((each for each in value_scores.read(self._archive, published) if each.of == value), None)

    def _of_key(self, published: PublishedDay, key: str) -> pa.Table | None:
        """A day's rows of one dimension; None where it has none, or they are damaged: the day's state says that."""
        import pyarrow.compute as pc

        named = published.metadata.get(DIMENSIONS)
        if not named:
            return None
        of_day = f"{published.day} {published.fingerprint} {named}"
        if of_day not in self._read:
            while len(self._read) >= len(COMPARED):
                del self._read[next(iter(self._read))]
            try:
                self._read[of_day] = self._archive.dimensions(published.day, named)
            except DamagedError:
                return None
        table = self._read[of_day]
        of_key = None if table is None else table.filter(pc.equal(table.column("dimension"), key))
        return of_key if of_key is not None and of_key.num_rows else None


def _with_value(table: pa.Table, value: DimensionValue) -> pa.Table:
    import pyarrow.compute as pc

    wanted = pc.and_(pc.equal(table.column("dimension"), value.key), pc.equal(table.column("value"), value.value))
    return table.filter(wanted)


def _as_rows(tables: Sequence[pa.Table]) -> pa.Table:
    """The costs as the digest takes them; of days that are known by OU alone, service and account are empty."""
    import pyarrow as pa

    parts = []
    for table in tables:
        none = pa.repeat(pa.scalar("", pa.string()), table.num_rows)
        columns = {name: table.column(name) if name in table.column_names else none for name in ROWS.names}
        parts.append(pa.table(columns).cast(ROWS))
    return pa.concat_tables([ROWS.empty_table(), *parts])


def _moved(
    value: DimensionValue, day: date, tables: Mapping[date, pa.Table], names: Mapping[str, str]
) -> Iterable[str]:
    """The accounts that have come to a value, or left it, since the day compared with."""
    against = compared_day(day, tables)
    if against is None or day not in tables:
        return
    now, before = _values_of_accounts(tables[day]), _values_of_accounts(tables[against])
    come = sorted(account for account in now if now[account] == value.value != before.get(account, value.value))
    gone = sorted(account for account in before if before[account] == value.value != now.get(account, value.value))
    if come:
        yield f"Since {against} here, and of another {value.key} then: {_accounts(come, before, names)}."
    if gone:
        yield f"No longer here since {against}, and of another {value.key} now: {_accounts(gone, now, names)}."


def _values_of_accounts(table: pa.Table) -> dict[str, str]:
    columns = (table.column(name).to_pylist() for name in ("linkedaccount", "value"))
    return dict(zip(*columns, strict=True))


def _accounts(accounts: Collection[str], values: Mapping[str, str], names: Mapping[str, str]) -> str:
    shown = [f"{names.get(account) or account} ({values[account]})" for account in list(accounts)[:MOST_MOVED]]
    more = len(accounts) - len(shown)
    return ", ".join(shown) + (f" and {more} more" if more else "")

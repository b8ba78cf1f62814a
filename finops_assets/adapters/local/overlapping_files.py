"""Compares, line by line, files of the bill that no manifest names and that have lines of the same days."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from datetime import date
from decimal import Decimal
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING

from finops_assets.adapters.local.bill_bytes import DataFile
from finops_assets.adapters.local.bill_source import FILE_COLUMN, BillSource
from finops_assets.adapters.local.column_types import identifier
from finops_assets.adapters.shared.duck import sql_literal
from finops_assets.core.bill.overlaps import Overlap, PeriodDay, Share, deliveries, may_be_part, overlapping
from finops_assets.core.errors import BillError

if TYPE_CHECKING:
    import duckdb

MOST_ALIKE = 20
SAMPLE = 256
"""Lines of a delivery that are looked for in the others before all of them are."""


class OverlappingFiles:
    """The deliveries of a bill without a manifest, and what they share.

    Args:
        con: a connection with the view of the bill in which each line has its file.
        source: the bill's files.
        view: the view's name.
        used: its columns that tell lines apart, few of all.
    """

    def __init__(self, con: duckdb.DuckDBPyConnection, source: BillSource, view: str, used: Sequence[str]) -> None:
        self._con, self._source, self._view = con, source, view
        self._few = f"hash({', '.join(map(identifier, used))})"
        members: dict[str, list[DataFile]] = defaultdict(list)
        for data in source.data:
            members[source.place(data)].append(data)
        self.deliveries: Mapping[str, list[DataFile]] = {
            name: [data for place in places for data in members[place]] for name, places in deliveries(members).items()
        }
        self._of = {data: name for name, of in self.deliveries.items() for data in of}

    def delivery(self, path: str) -> str:
        """The delivery that a line's FILE_COLUMN belongs to."""
        return self._of[self._source.data_of(path)]

    def refuse_copies(self, alike: Sequence[Sequence[Path]]) -> None:
        """Refuse a Parquet file that has the lines of another, written once more.

        Args:
            alike: files that may be copies of one another.

        Raises:
            BillError: two are.
        """
        for of in alike:
            for first, second in combinations(of[:MOST_ALIKE], 2):
                if self.is_part([DataFile(first, first)], [DataFile(second, second)]):
                    raise BillError(
                        f"has the same lines as {first}: its charges would count twice",
                        where=str(second),
                        fix="Remove one of them.",
                    )

    def overlaps(
        self, lines: Mapping[str, Mapping[PeriodDay, int]], totals: Callable[[date, date], Iterable[tuple]]
    ) -> list[Overlap]:
        """The deliveries that share days, none of which is a part of another.

        Args:
            lines: of each delivery, how many lines it has of each day.
            totals: the cost of days, both inclusive, by file, period and day.

        Raises:
            BillError: all lines of one are in another.
        """
        pairs = list(overlapping(lines))
        if not pairs:
            return []
        self._refuse_parts(lines, [(first, second) for first, second, _ in pairs])
        days = [day for *_, shared in pairs for _, day in shared]
        costs: dict[tuple[str, PeriodDay], Decimal] = defaultdict(Decimal)
        for path, period, day, cost in totals(min(days), max(days)):
            costs[self.delivery(path), (period or "", day)] += cost or 0

        def share(delivery: str, shared: Sequence[PeriodDay]) -> Share:
            total = sum((costs[delivery, day] for day in shared), Decimal())
            return Share(delivery, sum(lines[delivery][day] for day in shared), total)

        return [
            Overlap(tuple(sorted({day for _, day in shared})), (share(first, shared), share(second, shared)))
            for first, second, shared in pairs
        ]

    def _refuse_parts(self, lines: Mapping[str, Mapping[PeriodDay, int]], pairs: Collection[tuple[str, str]]) -> None:
        both_ways = [*pairs, *((second, first) for first, second in pairs)]
        candidates = [(part, whole) for part, whole in both_ways if may_be_part(lines[part], lines[whole])]
        if not candidates:
            return
        samples = {part: self._sample(part) for part in dict.fromkeys(part for part, _ in candidates)}
        hashes = {hash_ for sample in samples.values() for hash_ in sample}
        found: dict[str, set[int]] = defaultdict(set)
        for path, hash_ in self._con.execute(
            f"SELECT DISTINCT {FILE_COLUMN}, h FROM (SELECT {FILE_COLUMN}, {self._few} AS h FROM {self._view}) "
            f"WHERE h IN ({', '.join(map(str, hashes))})"
        ).fetchall():
            found[self.delivery(path)].add(hash_)
        for part, whole in candidates:
            if samples[part] <= found[whole] and self.is_part(self.deliveries[part], self.deliveries[whole]):
                raise BillError(
                    f"has all {sum(lines[part].values()):,} line(s) of {part}, which would count twice",
                    where=str(self._source.files.root / whole),
                    fix="Remove one of the two.",
                )

    def _sample(self, delivery: str) -> set[int]:
        paths = ", ".join(sql_literal(data.path) for data in self.deliveries[delivery])
        few = f"SELECT {self._few} AS h FROM {self._view} WHERE {FILE_COLUMN} IN ({paths}) LIMIT {SAMPLE}"
        return {hash_ for (hash_,) in self._con.execute(few).fetchall()}

    def is_part(self, part: Sequence[DataFile], whole: Sequence[DataFile]) -> bool:
        """Whether each line of some files is in others as often, by all of its columns."""
        paths = ", ".join(sql_literal(data.path) for data in part)
        every = f"SELECT {FILE_COLUMN} IN ({paths}) AS of_part, hash(*COLUMNS(* EXCLUDE {FILE_COLUMN})) AS h"
        rows = self._con.execute(
            f"SELECT COUNT(*) FROM (SELECT h FROM ({every} FROM ({self._source.sql([*part, *whole], with_file=True)})) "
            "GROUP BY h HAVING COUNT(*) FILTER (of_part) > COUNT(*) FILTER (NOT of_part))"
        ).fetchall()
        return rows == [(0,)]

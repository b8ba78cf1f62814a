"""Files that no manifest names and whose days overlap: chunks of one delivery, or charges that count twice?

An export in chunks has the lines of a day in several files, and so do months that are split by account. That is told
apart here by names, days and numbers of lines; what a platform compares line by line, it compares where this says so.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from itertools import combinations

from finops_assets.core.bill.layout import period_of
from finops_assets.core.calendar import in_words
from finops_assets.core.money import money

CHUNK = re.compile(r"(?<!\d)0\d{3,}(?!\d)|(?<![^/])(?:part|data)[-_]\d+(?:[-_]\d+)*(?![^.\-_])")
"""The number of a chunk: zeros in front, as AWS (`-00001`), Spark, Hadoop, BigQuery and Azure write it, which no date
and no browser's `(1)` has; or the `part-0`, `data_0_0_0` of Arrow, DuckDB and Snowflake."""

MOST_TOLD = 5
"""Overlaps that are told one by one."""

PeriodDay = tuple[str, date]
"""A billing period as the lines name it, empty where they do not, and a day."""


@dataclass(frozen=True)
class Share:
    """What one delivery has of the days that it shares with another."""

    delivery: str
    lines: int
    total: Decimal


@dataclass(frozen=True)
class Overlap:
    """Two deliveries that both have lines of the same days."""

    days: tuple[date, ...]
    shares: tuple[Share, Share]

    def words(self, currency: str) -> str:
        """Which, of which days, and how much each has of them."""
        first, second = (f"{s.delivery} ({s.lines:,} line(s), {money(s.total, currency)})" for s in self.shares)
        return f"{first} and {second} both have {in_words(self.days)}"


def deliveries(files: Iterable[str]) -> Mapping[str, list[str]]:
    """The files (paths below the bill's folder) by the delivery that they are chunks of, named by its first file.

    Chunks of one delivery lie in one folder, and their names differ in the chunk's number alone.
    """
    by_name: dict[str, list[str]] = defaultdict(list)
    for file in files:
        folder, _, name = file.rpartition("/")
        by_name[f"{folder}/{CHUNK.sub('#', name)}"].append(file)
    return {of[0]: of for of in by_name.values()}


def may_overlap(found: Iterable[str]) -> bool:
    """Whether there are several deliveries that no billing period's folder keeps apart."""
    periods = [period_of(delivery) for delivery in found]
    return len(set(periods)) < len(periods)


def overlapping(lines: Mapping[str, Mapping[PeriodDay, int]]) -> Iterator[tuple[str, str, list[PeriodDay]]]:
    """Pairs of deliveries in one period's folder, or both in none, that share days, and these.

    Args:
        lines: of each delivery, how many lines it has of each day.
    """
    on_day: dict[tuple[str, PeriodDay], list[str]] = defaultdict(list)
    for delivery, of_day in lines.items():
        for day in of_day:
            on_day[period_of(delivery), day].append(delivery)
    shared: dict[tuple[str, str], list[PeriodDay]] = defaultdict(list)
    for (_, day), of in sorted(on_day.items()):
        for pair in combinations(sorted(of), 2):
            shared[pair].append(day)
    for (first, second), days in sorted(shared.items()):
        yield first, second, days


def may_be_part(part: Mapping[PeriodDay, int], whole: Mapping[PeriodDay, int]) -> bool:
    """Whether all lines of a delivery could be in another, by their number on each day."""
    return all(lines <= whole.get(day, 0) for day, lines in part.items())


def warnings(overlaps: Sequence[Overlap], currency: str) -> tuple[str, ...]:
    """What is said of overlaps: the largest first, and how many more there are."""
    largest = sorted(overlaps, key=lambda each: -min(share.lines for share in each.shares))
    words = [each.words(currency) for each in largest[:MOST_TOLD]]
    if len(largest) > MOST_TOLD:
        words.append(f"{len(largest) - MOST_TOLD:,} more pair(s) of files share days")
    return tuple(words)

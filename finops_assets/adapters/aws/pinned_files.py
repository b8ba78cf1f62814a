"""The condition by which Athena reads the chosen files of a table and no others.

Comparisons of the whole `"$path"` with constants leave a file out before it is opened; functions of it did so only in
newer releases of Trino.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from itertools import groupby

from finops_assets.core.bill.bill_format import quoted
from finops_assets.core.errors import BillError

PATH = '"$path"'

NAMED = 20_000
"""Bytes up to which every file is named: longer lists take Athena seconds to plan."""

LONGEST = 160_000
"""Bytes of the condition: a statement of Athena has 262,144, of which the rest needs up to 60,000."""


def path_condition(read: Iterable[str], chosen: Collection[str], where: str) -> str:
    """The condition, in Athena's SQL, that leaves the chosen files over; empty where that is all of them.

    Args:
        read: the addresses of all files that the table would read, as Athena has them in `"$path"`.
        chosen: those of them that are the bill.
        where: the table, for errors.

    Raises:
        BillError: it would be too long for a query.
    """
    # Athena orders text by its UTF-8 bytes, which is the order of code points.
    paths = sorted(read)
    wanted = set(chosen)
    if wanted.issuperset(paths):
        return ""
    named = [path for path in paths if path in wanted]
    if not named:
        return "1 = 0"
    condition = _any_of(PATH, [(path, path) for path in named])
    if len(condition.encode()) <= NAMED:
        return condition
    runs = list(_runs(paths, wanted))
    condition = _any_of(PATH, runs)
    if len(condition.encode()) > LONGEST:
        # Without the part that all of them share, though Athena then opens the other files, too.
        start = _length_of_shared_start(paths[0], paths[-1])
        condition = _any_of(f"substr({PATH}, {start + 1})", [(first[start:], last[start:]) for first, last in runs])
    if len(condition.encode()) > LONGEST:
        raise BillError(
            f"{len(named)} of its {len(paths)} files are the bill, in {len(runs)} stretches: too many for one query",
            where=where,
            fix="Remove older deliveries of the export, or set bill.table to a table of the newest ones.",
        )
    return condition


def _runs(paths: Iterable[str], wanted: Collection[str]) -> Iterator[tuple[str, str]]:
    """The first and the last of the wanted paths that follow each other within one folder.

    Not across folders: a delivery that arrives meanwhile may lie between two of them.
    """
    for (is_wanted, _), run in groupby(paths, key=lambda path: (path in wanted, path.rpartition("/")[0])):
        if is_wanted:
            files = list(run)
            yield files[0], files[-1]


def _length_of_shared_start(first: str, last: str) -> int:
    """Of ordered texts, the first and the last tell what all of them begin with."""
    return next((at for at, (one, other) in enumerate(zip(first, last, strict=False)) if one != other), len(first))


def _any_of(value: str, runs: Iterable[tuple[str, str]]) -> str:
    runs = list(runs)
    single = [quoted(first) for first, last in runs if first == last]
    terms = [f"{value} IN ({', '.join(single)})"] if single else []
    terms += [f"{value} BETWEEN {quoted(first)} AND {quoted(last)}" for first, last in runs if first != last]
    return terms[0] if len(terms) == 1 else f"({' OR '.join(terms)})"

"""Whether a run fits into the memory that its process may use, by what was measured; asked before the run starts.

A process that takes more is killed without a word: in a container at once, on a machine when its swap is full.
"""

from __future__ import annotations

from finops_assets.core.errors import FinopsError

MEASURED = ((600, 531, 544), (6_000, 624, 661), (60_000, 1_134, 1_815))
"""Rows a day, MB of a run of one day, MB of one of 399 days: all processes together, with 400 days in the archive.

Peaks of `python -m benchmarks.scale` for 50, 500 and 5,000 accounts. Rows in between are interpolated, and more than
were measured grow as the last ones do.
"""

SERVICES = 12
"""Services of an account in those measurements: what an account map without an archive is taken for."""

DAYS_AT_ONCE = 31
"""A range is worked on month by month: a longer one takes no more."""

MEGABYTE = 1_000_000


class MemoryShortError(FinopsError):
    """A run would take more memory than its process may use."""


def needed_megabytes(rows: int, days: int) -> float:
    """The memory of a run.

    Args:
        rows: of a day.
        days: of the run, one or more.
    """
    one, many = (_at(rows, figure) for figure in (1, 2))
    return one + (many - one) * (min(days, DAYS_AT_ONCE) - 1) / (DAYS_AT_ONCE - 1)


def _at(rows: int, figure: int) -> float:
    """One of the figures of MEASURED, on the line between its neighbours."""
    if rows <= MEASURED[0][0]:
        return MEASURED[0][figure]
    above = next((place for place, each in enumerate(MEASURED) if rows <= each[0]), len(MEASURED) - 1)
    low, high = MEASURED[above - 1], MEASURED[above]
    return low[figure] + (high[figure] - low[figure]) * (rows - low[0]) / (high[0] - low[0])


def require(rows: int, days: int, limit: int | None) -> None:
    """Refuse a run that would not fit.

    Args:
        rows: of a day.
        days: of the run.
        limit: bytes that the process, and those that it starts, may use; None where that is not known.

    Raises:
        MemoryShortError: it takes more than that.
    """
    needed = needed_megabytes(rows, days)
    if limit is None or needed * MEGABYTE <= limit:
        return
    what = "a day" if days == 1 else f"{days} days"
    raise MemoryShortError(
        f"a run of {what} of {rows:,} rows each takes about {needed:,.0f} MB of memory, and {limit / MEGABYTE:,.0f} MB "
        "may be used: it would be killed, and was not started",
        where="this machine, or its container",
        fix="Give it more (on AWS `accounts`, or `sizes`, in Terraform), run fewer days at once, or set "
        "warehouse.check_memory to false.",
    )

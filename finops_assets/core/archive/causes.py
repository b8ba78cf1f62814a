"""What can be wrong with a day, the link of the chain that each cause breaks, and the command that mends it."""

from __future__ import annotations

from datetime import date

BILL, ARCHIVE, CATALOG, READ_BACK, SCORECARD, DASHBOARD, MAIL = LINKS = (
    "bill",
    "archive",
    "catalog",
    "read back",
    "scorecard",
    "dashboard",
    "mail",
)
"""The links of the chain, in order."""

DIFFERS, GONE = "not as in the bill", "gone from the bill"
NO_CHARGES, NO_DIMENSIONS, NO_COMMITMENTS = "no charges", "no dimensions", "no commitments"
NO_SCORECARD, OUTDATED = "no scorecard", "dashboard outdated"
LATE, NO_SUCH_DAY, UNREADABLE = "source late", "source has no such day", "bill unreadable"
UNREGISTERED = "source not registered"

CAUSES = {
    LATE: BILL,
    NO_SUCH_DAY: BILL,
    UNREADABLE: BILL,
    UNREGISTERED: BILL,
    "no object": ARCHIVE,
    "damaged object": ARCHIVE,
    "zero rows": ARCHIVE,
    NO_CHARGES: ARCHIVE,
    NO_DIMENSIONS: ARCHIVE,
    NO_COMMITMENTS: ARCHIVE,
    DIFFERS: ARCHIVE,
    GONE: ARCHIVE,
    "no partition": CATALOG,
    "wrong location": CATALOG,
    "partition without rows": READ_BACK,
    "doubled registration": READ_BACK,
    "second object": READ_BACK,
    "not read back as archived": READ_BACK,
    NO_SCORECARD: SCORECARD,
    OUTDATED: DASHBOARD,
    "mail unsent": MAIL,
    "mail in doubt": MAIL,
}
"""Each cause and the link that it breaks. Of a day only the first is reported, as the later ones follow from it."""

CANNOT_RUN = frozenset((LATE, NO_SUCH_DAY, UNREADABLE, UNREGISTERED, GONE, "second object", "mail in doubt"))
"""Causes that a run of the day does not mend."""


def mend(cause: str, first: date, last: date) -> str:
    """The command that mends these days, or what a person must do first."""
    run = f"finops run --date {first}" if first == last else f"finops backfill {first} {last}"
    before = {
        LATE: "wait for the export",
        NO_SUCH_DAY: "have the month delivered again, or make sure that nothing was charged",
        GONE: "have the export delivered again, or wait for a later day, with which this one is taken for empty",
        UNREGISTERED: "register the month's folder in Athena, as is said here",
        UNREADABLE: "mend the bill (`finops doctor` names its file)",
        "second object": "remove it",
    }
    if cause in before:
        return f"{before[cause]}, then: {run}"
    if cause == OUTDATED:
        return f"finops run --date {last}"
    if CAUSES[cause] == MAIL:
        return f"finops doctor --date {last}, which names who; finops run --date {last} sends what nobody may have"
    return run

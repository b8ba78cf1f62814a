"""Reports damaged notes: what was lost with each, where its copy is, what follows, and what to do.

An incident is open for each copy below `damaged/`. It is closed when somebody has removed the copy: that is how a
person says that they have seen it.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import quote

from finops_assets.core.notes import DAMAGED
from finops_assets.core.operations.incident_records import Problem
from finops_assets.core.operations.incidents import Incidents

if TYPE_CHECKING:
    from finops_assets.core.ports import Archive

KIND = "damaged_note"
"""The kind of the incidents."""

SHORT = 40
"""Characters of a path in a message's subject."""

LONGEST = 150
"""Characters of an incident's subject: it becomes a file's name, in which three of them may stand for one."""


class Loss(NamedTuple):
    """What is lost with a note, and what follows from it."""

    what: str
    follows: str


LOSSES = {
    "incidents/open/": Loss("an incident that was open", "what is still wrong is noticed again, with another alert"),
    "incidents/closed/": Loss("an incident that was over", "the evidence of its month does not hold it"),
    "refreshes/compared": Loss("what the bill said when it was last compared", "it is compared again"),
    "refreshes/": Loss("how often each day was left as it is", "days are provisional until that is counted again"),
    "digests/_told": Loss(
        "the total of each day that was last mailed",
        "no digest names a change of a day that was mailed before now; totals of digests from now on are kept again",
    ),
    "digests/": Loss(
        "a part of the records of a digest",
        "a manifest: that revision cannot be sent again; a receipt: it is not known whether its recipient has it, "
        "and it is not mailed again by itself. `finops status` and `finops gaps` name the day",
    ),
    "anomalies/": Loss(
        "which anomalies had an alert", "those of the newest days may have another; none of the past has"
    ),
    "account-ou-map/": Loss(
        "the published account map", "the next run publishes it from accounts.csv or Organizations"
    ),
    "organization/": Loss(
        "the history of which account was in which OU",
        "it is taken from the published account map; if that is damaged too, every account is taken to have been "
        "where it is today, and the history is in this copy and in the bucket's earlier versions",
    ),
    "ou-scorecards/": Loss(
        "a day's scorecard", "digest and dashboard show no lights of that day until it is run again"
    ),
    "drivers/": Loss("why a day's cost moved", "the digest does not say it until that day is run again"),
    "moved-parts/": Loss(
        "the parts of a day's change", "the table moved_parts does not have them, and `finops explain` asks the bill"
    ),
    "restatements/": Loss(
        "what one rewriting of a day has changed", "the table restatements and the month's evidence do not hold it"
    ),
    "rounds/": Loss(
        "what `finops morning` remembers from one round to the next",
        "the next round looks at everything anew, and at the schedules of a day back",
    ),
    "heartbeats/": Loss("whether a day's heartbeat was sent", "it may be sent twice"),
    "own-cost/": Loss("what a run's queries or mails took", "the digest's line of the platform's own cost lacks it"),
}
"""By the beginning of a note's path; of several that fit, the first holds."""


def report(archive: Archive, incidents: Incidents) -> None:
    """Open an incident for each damaged note that was put aside, and close those whose copy somebody has removed.

    Args:
        archive: keeps the copies.
        incidents: keeps them and sends the alerts.
    """
    incidents.update(KIND, {_subject(copy): _problem(archive, copy) for copy in archive.list(DAMAGED)})


def _problem(archive: Archive, copy: str) -> Problem:
    path = copy.removeprefix(DAMAGED).rpartition(".")[0]
    loss = loss_of(path)
    size = len(archive.get(copy) or b"")
    state = "was empty" if not size else f"could not be read ({size:,} bytes)"
    return Problem(
        cause=f"{path} {state}: {loss.what} is lost",
        tried=f"it was put aside as {copy}; {loss.follows}",
        mend=f"see why (a full disk, a power cut, a backup that was restored in part), then remove {copy}",
        about=path if len(path) <= SHORT else f"{path[: SHORT // 2]}...{path[-SHORT // 2 :]}",
    )


def loss_of(path: str) -> Loss:
    """What is lost with a note."""
    return next((loss for start, loss in LOSSES.items() if path.startswith(start)), Loss("a note", "nothing is known"))


def _subject(copy: str) -> str:
    """The copy's path as an incident's subject, shortened where it is too long for a file's name."""
    name = copy.removeprefix(DAMAGED)
    if len(quote(name, safe="")) <= LONGEST:
        return name
    return f"{hashlib.sha256(name.encode()).hexdigest()[:12]} {name[-40:]}"

"""The words of alerts and all-clears: one message for incidents of one kind."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from finops_assets.core.operations.incident_records import Incident
from finops_assets.core.text import sentence, tidy, tidy_lines

SHOWN = 10
"""Incidents of one kind that one message spells out; the others are counted."""

LONGEST_SUBJECT = 200
"""Characters of a message's subject."""


class Kind(NamedTuple):
    """A kind of incident: the subject of its alert and of its all-clear, and its heading in docs/runbook.md."""

    alert: str
    all_clear: str
    heading: str


KINDS = {
    "run_failed": Kind("a run failed", "the days of the failed run are whole", "A run failed"),
    "job_failed": Kind("a job failed", "the job has run through", "A job failed"),
    "dashboard_failed": Kind(
        "the dashboard was not refreshed", "the dashboard is current again", "The dashboard was not refreshed"
    ),
    "source_late": Kind("the bill is late", "the bill has arrived", "The bill is late"),
    "cannot_look": Kind("something cannot be looked at", "it can be looked at again", "Something cannot be looked at"),
    "missing_day": Kind("a day is missing", "the day is there", "A day is missing"),
    "damaged_day": Kind("a day is damaged", "the day is as it was written", "A day is damaged"),
    "damaged_note": Kind("a note was damaged", "the note is put away", "A note was damaged"),
    "not_fresh": Kind("yesterday is not done", "yesterday is done", "Yesterday is not done"),
    "restated": Kind("a day that was mailed has changed", "the change was mailed", "A mailed day was restated"),
    "evidence_failed": Kind("a month has no evidence", "the evidence is made", "A month has no evidence"),
    "refused": Kind("a recipient does not get the digest", "the recipient can be reached", "A mail bounced"),
    "anomaly": Kind("a cost that nobody expected", "an anomaly was withdrawn", "A cost that nobody expected"),
    "doubled": Kind(
        "the bill has doubled everywhere", "the doubled bill is mended or answered", "The bill has doubled everywhere"
    ),
    "unassigned": Kind("too much cost has no OU", "the cost has its OUs", "Too much cost is Unassigned"),
    "doctor": Kind("the morning's check-up found a fault", "the check-up finds nothing", "The check-up found a fault"),
}


@dataclass(frozen=True)
class AlertMessage:
    """What is sent to the alert channel; `number` is the same whenever the same message is made again."""

    subject: str
    text: str
    number: str


def message_of(incidents: Sequence[Incident], run_link: Callable[[str], str], runbook: str) -> AlertMessage:
    """The alert or the all-clear of incidents of one kind, which are all open or all closed.

    Args:
        incidents: at least one.
        run_link: a Dagster run's id -> where a person sees it.
        runbook: the address or path of docs/runbook.md.
    """
    first = incidents[0]
    kind, closed = KINDS[first.kind], first.closed is not None
    about = list(dict.fromkeys(incident.problem.about or incident.subject for incident in incidents))
    subjects, more = ", ".join(about[:3]), f" and {len(about) - 3} more" if len(about) > 3 else ""
    title = f"all clear, {kind.all_clear}" if closed else kind.alert
    parts = [_closed_words(each) if closed else _open_words(each, run_link) for each in incidents[:SHOWN]]
    if len(incidents) > SHOWN:
        others = ", ".join(incident.subject for incident in incidents[SHOWN:])
        parts.append(f"And {len(incidents) - SHOWN} more: {others}\n")
    anchor = kind.heading.lower().replace(" ", "-")
    text = "\n".join(parts) + f"\nRunbook: {runbook}#{anchor}\n"
    return AlertMessage(
        tidy(f"FinOps: {title}: {subjects}{more}", LONGEST_SUBJECT), tidy_lines(text), _number(incidents)
    )


def _number(incidents: Sequence[Incident]) -> str:
    first = incidents[0]
    paths = "\n".join(sorted(incident.closed_path for incident in incidents))
    digest = hashlib.sha256(paths.encode()).hexdigest()[:8]
    number = f"{first.closed or first.opened:%Y%m%dT%H%M%SZ}-{first.kind}-{digest}"
    return f"{number}-clear" if first.closed else number


def _open_words(incident: Incident, run_link: Callable[[str], str]) -> str:
    problem = incident.problem
    lines = [f"{sentence(incident.subject)}: {sentence(problem.cause)}", ""]
    lines += [f"Tried: {sentence(problem.tried)}"] if problem.tried else []
    lines += [f"Mend it: {sentence(problem.mend)}"] if problem.mend else []
    lines += [f"Dagster run: {run_link(problem.run_id)}"] if problem.run_id else []
    return "\n".join([*lines, f"Since: {incident.opened:%Y-%m-%d %H:%M} UTC"]) + "\n"


def _closed_words(incident: Incident) -> str:
    return (
        f"{sentence(incident.subject)}: well again since {incident.closed:%Y-%m-%d %H:%M} UTC, "
        f"broken since {incident.opened:%Y-%m-%d %H:%M} UTC.\nIt was: {sentence(incident.problem.cause)}\n"
    )

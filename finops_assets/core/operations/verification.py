"""Proving the whole archive, day by day: what `finops verify` prints, and what the job `nightly_verification` reports.

Each object is read once, and its rows are held against what was written (`core.archive.proof`). Whether a day is
registered, shown or mailed is another question: `finops gaps` answers it. `evidence.verification` verifies a month's
evidence.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING

from finops_assets.core.archive import proof
from finops_assets.core.archive.day_charges import CHARGES_PART
from finops_assets.core.archive.day_commitments import COMMITMENTS_PART
from finops_assets.core.archive.day_dimensions import DIMENSIONS_PART
from finops_assets.core.errors import DamagedError
from finops_assets.core.operations.incident_records import Problem
from finops_assets.core.operations.incidents import Incidents
from finops_assets.core.schemas import day_path

if TYPE_CHECKING:
    from finops_assets.core.ports import Archive

KIND = "damaged_day"
"""The kind of the incidents that are opened for damaged days."""

READERS = 4
"""Objects that are held in memory at once: more than the cores, as a GET waits for the store."""


@dataclass(frozen=True)
class Verdict:
    """What was found of one day's object.

    Attributes:
        day: the day.
        fault: how its object is not what was written, in words that follow its path; empty where it is.
        rows, size_bytes: of an object that was proved; 0 of one that was not.
        has_content_hash: whether the object holds the hash of its rows; those of older releases do not.
        not_proved: what of an object without the hash could not be proved; empty where everything was.
    """

    day: date
    fault: str = ""
    rows: int = 0
    size_bytes: int = 0
    has_content_hash: bool = True
    not_proved: str = ""

    @property
    def path(self) -> str:
        """Where the object is, or would be."""
        return day_path(self.day)

    @property
    def mend(self) -> str:
        """The command that mends a damaged day, and the one for a day that the bill no longer has."""
        run, restore = f"finops run --date {self.day}", f"finops restore {self.day}"
        return f"{run}; if the bill no longer has the day: {restore}, which lists its earlier versions"


@dataclass(frozen=True)
class Summary:
    """What the verdicts come to; rows and bytes are those of the days that were proved."""

    days: int
    damaged: tuple[Verdict, ...]
    rows: int
    size_bytes: int
    without_content_hash: int
    by_rows_and_total: int

    def __str__(self) -> str:
        proved = self.days - len(self.damaged)
        text = f"{proved} of {self.days} days proved: {self.rows:,} rows, {self.size_bytes / 1_000_000:,.1f} MB."
        if self.without_content_hash:
            text += f" {self.without_content_hash} of them have no content hash, as an older release wrote them"
            by_fingerprint = self.without_content_hash - self.by_rows_and_total
            text += f": {by_fingerprint} proved by their fingerprint, {self.by_rows_and_total} by rows and total only."
        return text


def verify(archive: Archive, days: Iterable[date]) -> Iterator[Verdict]:
    """A verdict on each of these days, in their order; one that is not archived has a fault.

    Raises:
        FinopsError: the store cannot be read.
    """
    with ThreadPoolExecutor(READERS) as readers:
        yield from readers.map(lambda day: _verdict(archive, day), days)


def _verdict(archive: Archive, day: date) -> Verdict:
    data = archive.get(day_path(day))
    if data is None:
        return Verdict(day, "is not in the archive")
    try:
        proved = proof.prove(data, day)
    except DamagedError as error:
        return Verdict(day, error.what)
    for part in (CHARGES_PART, DIMENSIONS_PART, COMMITMENTS_PART):
        if fault := part.fault(archive, day, proved.footer):
            return Verdict(day, f"has no whole {part.title}: {fault}")
    return Verdict(day, "", proved.rows.num_rows, len(data), proved.has_content_hash, proved.not_proved())


def summary(verdicts: Sequence[Verdict]) -> Summary:
    """The verdicts in numbers."""
    proved = [verdict for verdict in verdicts if not verdict.fault]
    return Summary(
        days=len(verdicts),
        damaged=tuple(verdict for verdict in verdicts if verdict.fault),
        rows=sum(verdict.rows for verdict in proved),
        size_bytes=sum(verdict.size_bytes for verdict in proved),
        without_content_hash=sum(not verdict.has_content_hash for verdict in proved),
        by_rows_and_total=sum(bool(verdict.not_proved) for verdict in proved),
    )


def report(incidents: Incidents, verdicts: Sequence[Verdict]) -> None:
    """Open an incident for each damaged day, in one message, and close those of days that prove again.

    Args:
        incidents: keeps them and sends the alerts.
        verdicts: on every day of the archive.
    """
    tried = "the day is run by itself, which writes it anew from the bill; what it was stays as a version"
    damaged = [verdict for verdict in verdicts if verdict.fault]
    incidents.update(
        KIND, {str(v.day): Problem(f"{v.path} {v.fault}", tried, v.mend, about=str(v.day)) for v in damaged}
    )


def known_damaged(incidents: Incidents) -> dict[date, str]:
    """The days that were found damaged and are not mended yet: day -> fault."""
    causes = {date.fromisoformat(incident.subject): incident.problem.cause for incident in incidents.open(KIND)}
    return {day: cause.removeprefix(f"{day_path(day)} ") for day, cause in causes.items()}


def close_mended(archive: Archive, incidents: Incidents, days: Iterable[date]) -> None:
    """Close the incidents of those of these days whose object proves now."""
    wanted = set(map(str, days))
    known = [incident.subject for incident in incidents.open(KIND) if incident.subject in wanted]
    incidents.close(KIND, [day for day in known if not archive.prove(date.fromisoformat(day))])

"""How well Savings Plans and reservations are used, what they cover, and which of them end soon.

AWS tells what nobody used of a reservation by the billing period: its line stands on the 1st and changes until the
month ends. So a reservation's utilization is that of a whole month; all others have one for each day.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING

from finops_assets.core.accounts.ous import within
from finops_assets.core.bill.bill_format import RESERVATION
from finops_assets.core.calendar import month_end
from finops_assets.core.errors import DamagedError
from finops_assets.core.schemas import COMMITMENTS, COMMITTED, ON_DEMAND

if TYPE_CHECKING:
    import pyarrow as pa

    from finops_assets.core.ports import Archive
    from finops_assets.core.values import PublishedDay

READERS = 8
THRESHOLDS = (90, 30, 7)
"""Days before a commitment ends on which it is told, once each."""

LOW = Decimal("0.8")
"""The utilization of a week below which a commitment is told, once: a week has its nights and its weekend."""

WEEK = 7


@dataclass(frozen=True)
class Use:
    """What commitments cost over some days, amortized, and what of it is used; exact.

    Attributes:
        used, unused: of those whose unused part is known.
        all_used: of all of them.
        coverage: what commitments cover, of the usage of services in which they cover anything, at on-demand prices;
            None where these are not known.
    """

    used: Decimal = Decimal()
    unused: Decimal = Decimal()
    all_used: Decimal = Decimal()
    coverage: Decimal | None = None

    @property
    def utilization(self) -> Decimal | None:
        """The used part; None where nothing is committed whose unused part is known."""
        committed = self.used + self.unused
        return self.used / committed if committed > 0 else None


@dataclass(frozen=True)
class CommitmentUse:
    """One Savings Plan or reservation: its use, by the day and by the month to date, and its last day."""

    id: str
    kind: str
    day: Use
    month: Use
    expires: date | None


def read_commitments(archive: Archive, days: Mapping[date, PublishedDay]) -> pa.Table:
    """The commitments of these days, in the COMMITMENTS schema; days without, or whose object is damaged, have no rows.

    Args:
        archive: where the days are.
        days: as the archive describes them.
    """
    import pyarrow as pa

    named = {day: of.metadata[COMMITTED] for day, of in days.items() if of.metadata.get(COMMITTED)}

    def read(day: date) -> pa.Table:
        try:
            return archive.commitments(day, named[day])
        except DamagedError:  # the state of the day says so
            return COMMITMENTS.empty_table()

    with ThreadPoolExecutor(READERS) as readers:
        return pa.concat_tables([COMMITMENTS.empty_table(), *readers.map(read, sorted(named))])


def use(rows: pa.Table, days: Collection[date], ou: str = "") -> Use:
    """The use of these days, of the whole or of an OU with what lies below it.

    Args:
        rows: in the COMMITMENTS schema.
        days: days that follow each other. What is not used of reservations counts where they are whole months.
        ou: its path.
    """
    return _use(_of_days(rows, days, ou), whole_months=_are_whole_months(days))


def use_of_each(rows: pa.Table, day: date) -> list[CommitmentUse]:
    """Each commitment that the rows have up to a day, by kind and id."""
    import pyarrow as pa
    import pyarrow.compute as pc

    month = {day.replace(day=1) + timedelta(days=n) for n in range(day.day)}
    up_to_day = pc.less_equal(rows.column("billingdate"), pa.scalar(day, pa.date32()))
    of_each: dict[tuple[str, str], list[dict]] = {}
    # What is on demand is most of the rows.
    for row in rows.filter(pc.and_(up_to_day, pc.not_equal(rows.column("kind"), ON_DEMAND))).to_pylist():
        of_each.setdefault((row["kind"], row["commitmentid"]), []).append(row)
    return [
        CommitmentUse(
            id_,
            kind,
            _use([row for row in of if row["billingdate"] == day], whole_months=False),
            _use([row for row in of if row["billingdate"] in month], whole_months=_are_whole_months(month)),
            max((row["expires"] for row in of if row["expires"]), default=None),
        )
        for (kind, id_), of in sorted(of_each.items())
    ]


def expiring(rows: pa.Table, day: date, before: date | None) -> list[tuple[CommitmentUse, int]]:
    """The commitments that have come to a threshold, each with the days that are left.

    Args:
        rows: in the COMMITMENTS schema.
        day: as of which.
        before: the day as of which readers know; None where they know nothing.
    """
    found = []
    for one in use_of_each(rows, day):
        left = (one.expires - day).days if one.expires else -1
        known = (one.expires - before).days if one.expires and before else max(THRESHOLDS) + 1
        if left >= 0 and any(left <= threshold < known for threshold in THRESHOLDS):
            found.append((one, left))
    return found


def little_used(rows: pa.Table, day: date, before: date | None) -> list[tuple[CommitmentUse, Decimal]]:
    """The commitments whose utilization of the week is below LOW now, and was not before; each with it.

    Args:
        rows: in the COMMITMENTS schema, at least of the weeks up to both days.
        day: as of which.
        before: the day as of which readers know; None where they know nothing.
    """
    were_low = {(one.kind, one.id) for one, _ in _low(rows, before)} if before else set()
    return [(one, rate) for one, rate in _low(rows, day) if (one.kind, one.id) not in were_low]


def _low(rows: pa.Table, day: date) -> list[tuple[CommitmentUse, Decimal]]:
    import pyarrow.compute as pc

    week = [day - timedelta(days=n) for n in range(WEEK)]
    found = []
    for one in use_of_each(rows, day):
        of_one = rows.filter(pc.equal(rows.column("commitmentid"), one.id))
        rate = use(of_one, week).utilization
        if rate is not None and rate < LOW:
            found.append((one, rate))
    return found


def _of_days(rows: pa.Table, days: Collection[date], ou: str) -> list[dict]:
    import pyarrow as pa
    import pyarrow.compute as pc

    of_days = rows.filter(pc.is_in(rows.column("billingdate"), pa.array(sorted(days), pa.date32())))
    return [row for row in of_days.to_pylist() if not ou or within(row["ou"], ou)]


def _are_whole_months(days: Collection[date]) -> bool:
    """Whether the days begin with the first of a month and end with the last of one."""
    return bool(days) and min(days).day == 1 and max(days) == month_end(max(days))


def _use(rows: list[dict], *, whole_months: bool) -> Use:
    told = [row for row in rows if row["kind"] != ON_DEMAND and (whole_months or row["kind"] != RESERVATION)]
    coverage = None
    if rows and all(row["ondemandcost"] is not None for row in rows):
        covered = _total([row for row in rows if row["kind"] != ON_DEMAND], "ondemandcost")
        everything = _total(rows, "ondemandcost")
        coverage = covered / everything if everything > 0 else None
    return Use(_total(told, "usedcost"), _total(told, "unusedcost"), _total(rows, "usedcost"), coverage)


def _total(rows: list[dict], name: str) -> Decimal:
    return sum((row[name] for row in rows), Decimal())

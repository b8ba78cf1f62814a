"""What the digest of a day says: totals, comparisons, rankings and movers, exact, before any rendering."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from typing import TYPE_CHECKING

from finops_assets.core.bill.providers import AWS
from finops_assets.core.calendar import short_day

if TYPE_CHECKING:
    import pyarrow as pa

    from finops_assets.core.analytics.anomalies import Episode
    from finops_assets.core.analytics.scorecard import Score, Scorecard
    from finops_assets.core.analytics.value_scores import ValueScore
    from finops_assets.core.archive.age import Age
    from finops_assets.core.archive.restatements import Restatement
    from finops_assets.core.reports.charts.style import DailyCost
    from finops_assets.core.reports.digest.tagged import TaggedShare
    from finops_assets.core.values import BillShare


@dataclass(frozen=True)
class DayFacts:
    """What the archive says of a day beside its rows.

    Attributes:
        total: exact, in the billing currency.
        scheduled: the part of it that is not usage of the day: tax, fees, credits, refunds, month-long charges.
        settlement: `provisional`, `stable` or `closed`.
        by_category: charge category -> exact cost; sums to the total; empty where the bill has no categories.
        left_out: a sentence for each setting that leaves lines out, with their number and amount.
        empty: the day is archived and has no rows: the bill has no charges on it.
        delivery: the delivery of the bill that it was made of; empty where the archive does not say.
        providers: who bills it.
        bills: what each of several bills has of it; empty where there is one bill, and in an edition.
    """

    total: Decimal
    scheduled: Decimal = Decimal()
    settlement: str = "provisional"
    by_category: Mapping[str, Decimal] = field(default_factory=dict)
    left_out: tuple[str, ...] = ()
    empty: bool = False
    delivery: str = ""
    providers: tuple[str, ...] = (AWS,)
    bills: tuple[BillShare, ...] = ()

    @property
    def usage(self) -> Decimal:
        return self.total - self.scheduled


@dataclass(frozen=True)
class Covered:
    """The earlier days that this one mail speaks for, beside its own."""

    first: date
    last: date
    days: int
    total: Decimal | None
    """None where it is not known, as in an edition."""


@dataclass(frozen=True)
class OwnCost:
    """What this platform itself cost on a day, in USD, whatever the bill's currency.

    Attributes:
        day: the day it ran.
        lines: what was used, in words, and what that cost: `Athena, 1.2 GB scanned` -> 0.006.
        how: how it is estimated, in a sentence.
    """

    day: date
    lines: tuple[tuple[str, Decimal], ...]
    how: str = ""

    @property
    def total(self) -> Decimal:
        return sum((cost for _, cost in self.lines), Decimal())


@dataclass(frozen=True)
class Late:
    """A day whose bill has not arrived by its deadline: the digest then shows the newest day there is, and says so.

    Attributes:
        day: the day that is waited for.
        by: how late, as `Age.late` says it.
        written: when the newest export was written (UTC), where that is known.
        bill: of several bills, the one that `written` is of.
    """

    day: date
    by: str
    written: datetime | None = None
    bill: str = ""


@dataclass(frozen=True)
class Against:
    """A day to compare with: its total, or None where there is no data; its facts where they are known."""

    day: date
    words: str
    total: Decimal | None
    facts: DayFacts | None
    has_rows: bool


@dataclass(frozen=True)
class MonthToDate:
    """From the 1st to the day, and the same days of the month before; `before` is None where one of them is missing."""

    first: date
    last: date
    total: Decimal
    missing: tuple[date, ...]
    before_first: date
    before: Decimal | None


@dataclass(frozen=True)
class Line:
    """One OU or service: its cost on the day and on the days compared with (None: no data for that day)."""

    name: str
    cost: Decimal
    last_week: Decimal | None
    day_before: Decimal | None


@dataclass(frozen=True)
class Ranking:
    """The largest lines, and the sum of the other ones (None where there are none)."""

    lines: tuple[Line, ...]
    rest: Line | None = None


@dataclass(frozen=True)
class Mover:
    """An OU's use of a service in an account (or, without one, in all), on the day and on the day compared with."""

    ou: str
    service: str
    account: str
    now: Decimal
    before: Decimal
    name: str = ""

    @property
    def delta(self) -> Decimal:
        return self.now - self.before


@dataclass(frozen=True)
class DigestFigures:
    """Everything that the digest of a day says; amounts are exact decimals in `currency`.

    Attributes:
        costs: day -> OU -> cost, of the days that the chart shows.
        scheduled_by_day: the scheduled part of those days, where known.
        movers_up, movers_down: OU, service and account that rose and fell most, in money.
        causes_up, causes_down: the same by OU and service, whatever the account: what explains a day in a sentence.
        restated: days whose mailed total has changed since, as it was mailed and as it is.
        late: the day that this digest goes out in place of, if its bill is late; every figure is of `day`.
        age: how old the archive's data are; None where that is not known.
        this_year: the reader's year: dates of other years are shown with theirs.
        movers_against: the day that the movers are compared with; None where there is none.
        rows: the day's rows, sorted by OU, service and account: what the CSV holds.
        ou: the OU that an edition is of, with what lies below it, or a value; empty for the whole bill.
        by_value: whether an edition is of a value of a dimension, as `account:team=platform`.
        card: lights, budgets, forecasts, anomalies and reasons of what the digest is of; None without a scorecard.
        news: anomalies that began, grew, ended or were withdrawn since the last mail.
        lights_before: OU -> light as of the last mail; None where that is not known.
        own_cost: what the platform itself cost; None where that is not known.
        left_open: what cannot be said of an edition, in sentences.
        names: account id -> name.
        tagged: how much of the day has a value of each dimension.
        commitments: the use of Savings Plans and reservations, in a line; empty without any.
        rates: the exchange rates that costs are shown by, in a sentence; empty where none is used.
        values: the scores of values of dimensions that have a budget; none in an edition.
        moves: how many OUs' services in an account moved by a cent or more.
    """

    day: date
    currency: str
    cost_basis: str
    facts: DayFacts
    last_week: Against
    day_before: Against
    month: MonthToDate
    ous: Ranking
    services: Ranking
    movers_up: tuple[Mover, ...]
    movers_down: tuple[Mover, ...]
    causes_up: tuple[Mover, ...]
    causes_down: tuple[Mover, ...]
    movers_against: Against | None
    unassigned: tuple[tuple[str, str, Decimal], ...]
    costs: DailyCost
    scheduled_by_day: Mapping[date, Decimal]
    rows: pa.Table
    archive_path: str
    links: Mapping[str, str]
    data_through: date
    covered: Covered | None
    notes: tuple[str, ...]
    restated: tuple[Restatement, ...] = ()
    late: Late | None = None
    age: Age | None = None
    this_year: int | None = None
    ou: str = ""
    by_value: bool = False
    card: Scorecard | None = None
    news: tuple[Episode, ...] = ()
    lights_before: Mapping[str, str] | None = None
    own_cost: OwnCost | None = None
    left_open: tuple[str, ...] = ()
    names: Mapping[str, str] = field(default_factory=dict)
    tagged: tuple[TaggedShare, ...] = ()
    commitments: str = ""
    rates: str = ""
    values: tuple[ValueScore, ...] = ()
    moves: int = 0

    @property
    def total(self) -> Decimal:
        return self.facts.total

    @property
    def score(self) -> Score | None:
        """Of what the digest is of: the whole, or the edition's OU."""
        return self.card.scores[0] if self.card else None

    @property
    def against(self) -> Against | None:
        """The day that headlines compare with: the same weekday last week, else the day before, else none."""
        return next((a for a in (self.last_week, self.day_before) if a.total is not None), None)

    @property
    def age_sentence(self) -> str:
        """How old the archive's data are; empty where they are current, or where that is not known."""
        return self.age.sentence if self.age else ""

    def short_day(self, day: date, *, weekday: bool = True) -> str:
        """A day as its reader needs it: with its year where that is not theirs."""
        return short_day(day, weekday=weekday, this_year=self.this_year)


@dataclass(frozen=True)
class Digest:
    """A rendered digest: the parts of the mail, none of which changes any more.

    Attributes:
        total: exact, in `currency`.
        pictures: name -> PNG (`pictures.PICTURES`).
        bills_csv: what each of several bills has of the day; empty where there is one bill, and in an edition.
        ou: the OU or value that an edition is of; empty for the whole bill.
    """

    day: date
    subject: str
    html: str
    text: str
    csv: bytes
    csv_name: str
    revision: int
    total: Decimal
    currency: str
    pictures: Mapping[str, bytes] = field(default_factory=dict)
    ou: str = ""
    bills_csv: bytes = b""

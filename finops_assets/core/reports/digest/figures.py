"""What the digest of a day says: totals, comparisons, rankings and movers, exact, before any rendering."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from finops_assets.core.accounts.ous import within
from finops_assets.core.calendar import short_day
from finops_assets.core.errors import ArchiveError
from finops_assets.core.money import CENT
from finops_assets.core.reports.charts.daily_cost import daily_cost_spec

if TYPE_CHECKING:
    import pyarrow as pa

    from finops_assets.core.analytics.anomalies import Episode
    from finops_assets.core.analytics.scorecard import Score, Scorecard
    from finops_assets.core.archive.age import Age
    from finops_assets.core.archive.restatements import Restatement
    from finops_assets.core.reports.charts.style import DailyCost


CHART_DAYS = 35
CHART_WIDTH, CHART_HEIGHT = 500, 226
"""Narrower than the mail: on a phone, three quarters of its size, the labels can still be read."""

TOP = 8
"""OUs and services named in the mail; the CSV has all of them."""

MOVERS = 5
UNASSIGNED_SHOWN = 20

BASES = {
    "billed": "billed cost",
    "effective": "effective cost, amortized",
    "unblended": "unblended cost",
    "net_unblended": "net unblended cost",
    "net_amortized": "net amortized cost",
}
SETTLEMENTS = {
    "provisional": "provisional: AWS may still change it",
    "stable": "stable: unchanged over the last refreshes of the bill",
    "closed": "closed: AWS no longer changes it",
}
SCHEDULED = {"Purchase": "purchases and fees", "Tax": "tax", "Credit": "credits", "Refund": "refunds"}
"""Charge categories that are never usage of the day; `core.bill` marks their lines as scheduled in every format."""

LONG_CHARGES = "usage and other charges for longer than a day"

LOUD = Decimal("0.05")
"""Changes of at least 5 % are coloured: colour that is everywhere says nothing."""

LEVEL = Decimal("0.02")
"""A change under 2 % is called level: it is within what the newest day still moves by."""


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
    """

    total: Decimal
    scheduled: Decimal = Decimal()
    settlement: str = "provisional"
    by_category: Mapping[str, Decimal] = field(default_factory=dict)
    left_out: tuple[str, ...] = ()
    empty: bool = False

    @property
    def usage(self) -> Decimal:
        return self.total - self.scheduled


@dataclass(frozen=True)
class Covered:
    """The earlier days of a run over several days, which this one mail speaks for."""

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
    """

    day: date
    by: str
    written: datetime | None = None


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
        restated: days whose mailed total has changed since, as it was told and as it is.
        late: the day that this digest goes out in place of, if its bill is late; every figure is of `day`.
        age: how old the archive's data are; None where that is not known.
        this_year: the reader's year: dates of other years are shown with theirs.
        movers_against: the day that the movers are compared with; None where there is none.
        rows: the day's rows, sorted by OU, service and account: what the CSV holds.
        ou: the OU that an edition is of, with what lies below it; empty for the whole bill.
        card: lights, budgets, forecasts, anomalies and reasons of what the digest is of; None without a scorecard.
        news: anomalies that began, grew, ended or were withdrawn since the last mail.
        lights_before: OU -> light as of the last mail; None where that is not known.
        own_cost: what the platform itself cost; None where that is not known.
        left_open: what cannot be said of an edition, in sentences.
        names: account id -> name.
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
    card: Scorecard | None = None
    news: tuple[Episode, ...] = ()
    lights_before: Mapping[str, str] | None = None
    own_cost: OwnCost | None = None
    left_open: tuple[str, ...] = ()
    names: Mapping[str, str] = field(default_factory=dict)

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

    `chart_png` and `month_png` are empty where there is no chart. `total` is exact, in `currency`. `ou` is the OU that
    an edition is of, and empty for the whole bill.
    """

    day: date
    subject: str
    html: str
    text: str
    csv: bytes
    csv_name: str
    chart_png: bytes
    revision: int
    total: Decimal
    currency: str
    month_png: bytes = b""
    ou: str = ""


def digest_figures(
    rows: pa.Table,
    day: date,
    *,
    days: Mapping[date, DayFacts],
    names: Mapping[str, str],
    currency: str,
    cost_basis: str,
    archive_path: str = "",
    links: Mapping[str, str] | None = None,
    data_through: date | None = None,
    covered: Covered | None = None,
    notes: Iterable[str] = (),
    restated: Iterable[Restatement] = (),
    late: Late | None = None,
    age: Age | None = None,
    this_year: int | None = None,
    top: int = TOP,
    ou: str = "",
    card: Scorecard | None = None,
    news: Iterable[Episode] = (),
    lights_before: Mapping[str, str] | None = None,
    own_cost: OwnCost | None = None,
) -> DigestFigures:
    """The figures of a day, of the whole bill or, as an edition, of one OU with what lies below it.

    An edition takes the same arguments, of the whole bill, and keeps what is the OU's: rows, subtotals, its part of the
    scorecard. What is known of whole days only (scheduled charges, charge categories, what settings leave out) is not
    in it, nor are amounts of the whole; it says what it leaves open. Only `restated` is of the edition already.

    Args:
        rows: billingdate, ou, service, linkedaccount and `cost` (decimal) of the day and of the archived days before
            it, best 35 of them and at least from the 1st of the month; later days are ignored.
        day: the digest's day (UTC).
        days: facts of the day, and of as many days before it as are known; a day that has facts but no rows counts in
            totals and month to date, and one that is `empty` is compared with too: it cost nothing.
        names: account id -> name.
        archive_path: where the day's object is; its place in the archive by default.
        links: label -> URL or path, e.g. of the dashboard.
        data_through: newest day that has data; the day itself by default.
        covered: the earlier days that this mail speaks for.
        notes: sentences to put under the headline.
        restated: days whose mailed total has changed since.
        late: the day whose bill has not arrived, where this one is shown in its place.
        age: how old the archive's data are.
        this_year: the reader's year; without it, no date in a label has its year.
        top: OUs and services to name.
        ou: the path of the OU to make an edition of. One that has no rows is an edition of zeros that says so.
        card: the day's scorecard, of the whole. One that is not of these figures is left out, and a note says so.
        news: anomalies that began, grew, ended or were withdrawn since the last mail, as they stand.
        lights_before: OU -> light as of the last mail, to tell which have turned.
        own_cost: what the platform itself cost; not shown in editions.

    Raises:
        ArchiveError: the day has no rows and is not empty, or has no facts; or rows and facts of a day differ by half a
            cent or more.
    """
    import pyarrow.compute as pc

    from finops_assets.core.reports.digest import edition
    from finops_assets.core.schemas import UNASSIGNED, day_path

    rows = _prepared(rows)
    there = {d for d in rows["billingdate"].unique().to_pylist() if d <= day}
    there |= {d for d, facts in days.items() if facts.empty and d <= day}
    if day not in there or day not in days:
        raise ArchiveError(
            "there are no rows to make a digest of" if day not in there else "the archive says nothing of the day",
            where=day_path(day),
            fix=f"Materialize ou_breakdown_parquet for {day} first.",
        )
    left_open: tuple[str, ...] = ()
    if ou:
        whole, rows = days, edition.subtree(rows, ou)
        days = edition.facts(rows, whole, there)
        left_open = edition.left_open(ou, rows, whole, day)
        covered = replace(covered, total=None) if covered else None
        card, own_cost = edition.card_of(card, ou), None
        news = [episode for episode in news if within(episode.ou, ou)]
    found = _by_day(rows, "ou")
    by_ou = {d: found.get(d, {}) for d in sorted(there)}
    totals = _totals(by_ou, days)
    notes = list(notes)
    if card and (why_not := _unlike(card, day, currency, cost_basis, totals[day])):
        notes.append(f"Budgets, lights and anomalies are left out: {why_not}.")
        card = None
    last_week, day_before = (
        Against(d, words, totals.get(d), days.get(d), d in by_ou)
        for d, words in ((day - timedelta(7), "week before"), (day - timedelta(1), "day before"))
    )
    compared = {d: rows.filter(pc.equal(rows["billingdate"], d)) for d in (day, day_before.day, last_week.day)}
    by_service: dict[date, Mapping[str, Decimal]] = {d: {} for d in compared if d in by_ou}
    for table in compared.values():
        by_service |= _by_day(table, "service")
    base = next((a for a in (last_week, day_before) if a.has_rows), None)
    sides = (compared[day], compared[base.day]) if base else (rows.slice(0, 0), rows.slice(0, 0))
    up, down = _movers(*sides, ["ou", "service", "linkedaccount"], names)
    causes_up, causes_down = _movers(*sides, ["ou", "service"], names)
    today = compared[day]
    unassigned = _sums(today.filter(pc.equal(today["ou"], UNASSIGNED)), ["linkedaccount"])
    window = {d: costs for d, costs in by_ou.items() if (day - d).days < CHART_DAYS}
    return DigestFigures(
        day=day,
        currency=currency,
        cost_basis=cost_basis,
        facts=days[day],
        last_week=last_week,
        day_before=day_before,
        month=_month_to_date(totals, day),
        ous=_ranking(by_ou, day, top),
        services=_ranking(by_service, day, top),
        movers_up=up,
        movers_down=down,
        causes_up=causes_up,
        causes_down=causes_down,
        movers_against=base,
        unassigned=tuple(
            (account, names.get(account, ""), cost)
            for (account,), cost in sorted(unassigned.items(), key=lambda item: (-abs(item[1]), item[0]))
        ),
        costs=window,
        scheduled_by_day={d: days[d].scheduled for d in window if d in days},
        rows=today.sort_by([(name, "ascending") for name in ("ou", "service", "linkedaccount")]),
        archive_path=archive_path or day_path(day),
        links=dict(links or {}),
        data_through=data_through or day,
        covered=covered,
        notes=tuple(notes),
        restated=tuple(restated),
        late=late,
        age=age,
        this_year=this_year,
        ou=ou,
        card=card,
        news=tuple(news) if card else (),
        lights_before=lights_before,
        own_cost=own_cost,
        left_open=left_open,
        names=names,
    )


def _unlike(card: Scorecard, day: date, currency: str, cost_basis: str, total: Decimal) -> str:
    """Why a scorecard is not of these figures; empty where it is."""
    from finops_assets.core.archive.registering import HALF_A_CENT

    if card.day != day:
        return f"the scorecard is of {card.day}"
    if (card.currency, card.cost_basis) != (currency, cost_basis):
        return f"the scorecard is in {card.currency} ({card.cost_basis})"
    if abs(card.whole.cost - total) >= HALF_A_CENT:
        return "the scorecard was made of an earlier state of the day; materialize ou_scorecard again"
    return ""


def _prepared(rows: pa.Table) -> pa.Table:
    """The columns used; a null name is an empty one."""
    import pyarrow.compute as pc

    text = {name: pc.fill_null(rows[name], "") for name in ("ou", "service", "linkedaccount")}
    return rows.from_pydict({"billingdate": rows["billingdate"], **text, "cost": rows["cost"]})


def _sums(rows: pa.Table, keys: list[str]) -> dict[tuple, Decimal]:
    """Exact sums of cost by key."""
    sums = rows.group_by(keys).aggregate([("cost", "sum")])
    return dict(zip(zip(*(sums[k].to_pylist() for k in keys), strict=True), sums["cost_sum"].to_pylist(), strict=True))


def _by_day(rows: pa.Table, column: str) -> dict[date, dict[str, Decimal]]:
    costs: dict[date, dict[str, Decimal]] = {}
    for (day, name), cost in sorted(_sums(rows, ["billingdate", column]).items()):
        costs.setdefault(day, {})[name] = cost
    return costs


def _totals(by_ou: DailyCost, days: Mapping[date, DayFacts]) -> dict[date, Decimal]:
    from finops_assets.core.archive.registering import HALF_A_CENT
    from finops_assets.core.schemas import day_path

    totals = {day: sum(costs.values(), Decimal()) for day, costs in by_ou.items()}
    for day, facts in days.items():
        if day in totals and abs(totals[day] - facts.total) >= HALF_A_CENT:
            raise ArchiveError(
                f"the rows sum to {totals[day]}, the day's total is said to be {facts.total}",
                where=day_path(day),
                fix=f"Materialize ou_breakdown_parquet for {day} again.",
            )
        totals[day] = facts.total
    return totals


def _month_to_date(totals: Mapping[date, Decimal], day: date) -> MonthToDate:
    first = day.replace(day=1)
    days = [first + timedelta(n) for n in range(day.day)]
    missing = tuple(d for d in days if d not in totals)
    before_first = (first - timedelta(1)).replace(day=1)
    same_days = [before_first + timedelta(n) for n in range(day.day)]
    comparable = not missing and all(d in totals and d < first for d in same_days)
    return MonthToDate(
        first=first,
        last=day,
        total=sum((totals[d] for d in days if d in totals), Decimal()),
        missing=missing,
        before_first=before_first,
        before=sum((totals[d] for d in same_days), Decimal()) if comparable else None,
    )


def _ranking(by_day: DailyCost, day: date, top: int) -> Ranking:
    week, before = by_day.get(day - timedelta(7)), by_day.get(day - timedelta(1))

    def line(name: str, members: Iterable[str]) -> Line:
        def cost(of_day: Mapping[str, Decimal] | None) -> Decimal | None:
            return None if of_day is None else sum((of_day.get(m, Decimal()) for m in members), Decimal())

        members = list(members)
        return Line(name, cost(by_day[day]), cost(week), cost(before))

    ranked = sorted(by_day[day], key=lambda name: (-by_day[day][name], name))
    gone = sorted(set().union(week or (), before or ()) - set(ranked))
    kept = ranked if len(ranked) <= top + 1 else ranked[:top]
    others = ranked[len(kept) :]
    rest = line(f"{len(others)} others" if others else "No longer there", others + gone) if others or gone else None
    return Ranking(tuple(line(name, [name]) for name in kept), rest)


def _movers(
    now: pa.Table, before: pa.Table, keys: Sequence[str], names: Mapping[str, str]
) -> tuple[tuple[Mover, ...], tuple[Mover, ...]]:
    """What rose and what fell most, in money, summed by these keys."""
    import pyarrow as pa
    import pyarrow.compute as pc

    from finops_assets.core.schemas import MONEY

    def signed(table: pa.Table, column: str, delta: pa.ChunkedArray) -> pa.Table:
        zero = pa.repeat(pa.scalar(Decimal(), MONEY), table.num_rows)
        amounts = {"now": zero, "before": zero, column: table["cost"].cast(MONEY), "delta": delta.cast(MONEY)}
        return pa.table({**{key: table[key] for key in keys}, **amounts})

    both = pa.concat_tables([signed(now, "now", now["cost"]), signed(before, "before", pc.negate(before["cost"]))])
    sums = both.group_by(list(keys)).aggregate([(name, "sum") for name in ("now", "before", "delta")])

    def largest(order: str) -> tuple[Mover, ...]:
        by = [("delta_sum", order), *((key, "ascending") for key in keys)]
        found = sums.take(pc.select_k_unstable(sums, k=MOVERS, sort_keys=by)).to_pylist()
        movers = (
            Mover(row["ou"], row["service"], account, row["now_sum"], row["before_sum"], names.get(account, ""))
            for row in found
            for account in [row.get("linkedaccount", "")]
        )
        return tuple(m for m in movers if (m.delta >= CENT if order == "descending" else m.delta <= -CENT))

    return largest("descending"), largest("ascending")


def scheduled_lines(facts: DayFacts) -> list[tuple[str, Decimal]]:
    """The day's scheduled charges in words, by category; they sum to `facts.scheduled`."""
    lines = [(words, facts.by_category[name]) for name, words in SCHEDULED.items() if facts.by_category.get(name)]
    rest = facts.scheduled - sum((cost for _, cost in lines), Decimal())
    return [*lines, (LONG_CHARGES, rest)] if rest else lines


def basis_words(cost_basis: str) -> str:
    """`billed` -> `billed cost`."""
    return BASES.get(cost_basis, cost_basis)


def chart_spec(figures: DigestFigures) -> dict[str, Any]:
    """The digest's chart, for `charts.to_png`."""
    return daily_cost_spec(
        figures.costs,
        figures.day,
        currency=figures.currency,
        basis=basis_words(figures.cost_basis),
        scheduled=figures.scheduled_by_day,
        width=CHART_WIDTH,
        height=CHART_HEIGHT,
    )


def month_chart_spec(figures: DigestFigures) -> dict[str, Any] | None:
    """The month against budget and forecast, for `charts.to_png`; None where there is neither."""
    score = figures.score
    if score is None or (score.budget is None and score.p50 is None):
        return None
    sums = {d: sum(of.values(), Decimal()) for d, of in figures.costs.items()}
    name = "" if figures.ou else "All OUs"
    return month_picture(sums, score, figures.day, currency=figures.currency, cost_basis=figures.cost_basis, name=name)


def month_picture(
    costs: Mapping[date, Decimal], score: Score, day: date, *, currency: str, cost_basis: str, name: str = "All OUs"
) -> dict[str, Any]:
    """The picture of a month as the digest shows it: the same figures give the same one, which is drawn once.

    Args:
        costs: by day; those of other months are passed over.
        score: of the whole, or of an OU.
        day: the newest day.
        currency, cost_basis: of the costs.
        name: in the title; the OU's path where it is empty.
    """
    from finops_assets.core.reports.charts.month import month_spec

    first = day.replace(day=1)
    return month_spec(
        {d: cost for d, cost in costs.items() if first <= d},
        score,
        day=day,
        currency=currency,
        basis=basis_words(cost_basis),
        name=name,
        width=CHART_WIDTH,
        height=CHART_HEIGHT,
    )

"""Calculates what the digest of a day says, from archived rows: exact, before any wording."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING

from finops_assets.core.accounts.account_ids import near_misses
from finops_assets.core.accounts.ous import within
from finops_assets.core.analytics.renames import newest_names
from finops_assets.core.archive.registering import HALF_A_CENT
from finops_assets.core.errors import ArchiveError
from finops_assets.core.money import CENT
from finops_assets.core.reports.digest import edition, value_edition
from finops_assets.core.reports.digest.commitments import commitment_notes, commitment_words
from finops_assets.core.reports.digest.figures import (
    Against,
    Covered,
    DayFacts,
    DigestFigures,
    Late,
    Line,
    MonthToDate,
    Mover,
    OwnCost,
    Ranking,
)
from finops_assets.core.reports.digest.month_parts import booked_notes
from finops_assets.core.reports.digest.tagged import tagged_shares
from finops_assets.core.schemas import MONEY, UNASSIGNED, day_path

if TYPE_CHECKING:
    import pyarrow as pa

    from finops_assets.core.analytics.anomalies import Episode
    from finops_assets.core.analytics.scorecard import Scorecard
    from finops_assets.core.analytics.value_scores import ValueScore
    from finops_assets.core.archive.age import Age
    from finops_assets.core.archive.restatements import Restatement
    from finops_assets.core.reports.charts.style import DailyCost
    from finops_assets.core.reports.digest.value_edition import ValuePart

CHART_DAYS = 35
"""Days that the chart of daily cost shows."""

COMPARED = (0, 1, 7)
"""Days before the digest's own whose services and accounts it needs; of others, what OUs cost is enough."""

RENAMED_DAYS = 7
"""Days for which a service's new name is mentioned."""

TOP = 8
"""OUs and services named in the mail; the CSV has all of them."""

MOVERS = 10


@dataclass(frozen=True)
class DigestInputs:
    """What the digest of a day, and each of its editions, is calculated from; all of it is of the whole bill.

    Attributes:
        rows: billingdate, ou, service, linkedaccount and `cost` (decimal) of the day and of the archived days before
            it, best 35 of them and at least from the 1st of the month; later days are ignored.
        day: the digest's day (UTC).
        days: facts of the day, and of as many days before it as are known; a day that has facts but no rows counts in
            totals and month to date, and one that is `empty` is compared with, too: it cost nothing.
        names: account id -> name.
        currency, cost_basis: of every cost.
        archive_path: where the day's object is; its place in the archive by default.
        links: label -> URL or path, e.g. of the dashboard.
        data_through: newest day that has data; the day itself by default.
        covered: the earlier days that this mail speaks for.
        notes: sentences to put under the headline.
        late: the day whose bill has not arrived, where this one is shown in its place.
        age: how old the archive's data are.
        this_year: the reader's year; without it, no date in a label has its year.
        top: OUs and services to name.
        card: the day's scorecard. One that is not of these figures is left out, and a note says so.
        news: anomalies that began, grew, ended or were withdrawn since the last mail, as they stand.
        lights_before: OU -> light as of the last mail, to say which have changed.
        own_cost: what the platform itself cost; not shown in editions.
        dimensions: of the day, in the DIMENSION_BREAKDOWN schema; None where it has none.
        rates: the exchange rates that costs are shown by, in a sentence; empty where none is used.
        commitments: of the month to date and of the weeks before this mail and the last one, in the COMMITMENTS schema;
            None where no day has any.
        mailed_before: the day of the last mail; None where there was none.
        values: the scores of values of dimensions that have a budget; not shown in editions.
    """

    rows: pa.Table
    day: date
    days: Mapping[date, DayFacts]
    names: Mapping[str, str]
    currency: str
    cost_basis: str
    archive_path: str = ""
    links: Mapping[str, str] = field(default_factory=dict)
    data_through: date | None = None
    covered: Covered | None = None
    notes: Sequence[str] = ()
    late: Late | None = None
    age: Age | None = None
    this_year: int | None = None
    top: int = TOP
    card: Scorecard | None = None
    news: Sequence[Episode] = ()
    lights_before: Mapping[str, str] | None = None
    own_cost: OwnCost | None = None
    dimensions: pa.Table | None = None
    rates: str = ""
    commitments: pa.Table | None = None
    mailed_before: date | None = None
    values: Sequence[ValueScore] = ()


def digest_figures(
    inputs: DigestInputs, *, ou: str = "", part: ValuePart | None = None, restated: Iterable[Restatement] = ()
) -> DigestFigures:
    """The figures of a day, of the whole bill or, as an edition, of one OU with what lies below it, or of one value.

    An edition keeps what is its own: rows, subtotals, its part of the scorecard. What is known of whole days only
    (scheduled charges, charge categories, what settings leave out) is not in it, nor are amounts of the whole; it says
    what it leaves open.

    Args:
        inputs: of the whole bill.
        ou: the path of the OU to make an edition of. One that has no rows is an edition of zeros that says so.
        part: what of the bill has the value of a dimension that an edition is of.
        restated: days whose mailed total, or the edition's subtotal, has changed since.

    Raises:
        ArchiveError: the day has no rows and is not empty, or has no facts; or rows and facts of a day differ by half a
            cent or more.
    """
    inputs = replace(inputs, rows=_prepared(inputs.rows))
    archived = _archived_days(inputs)
    left_open: tuple[str, ...] = ()
    if ou:
        whole, inputs = inputs.days, _of_edition(inputs, ou, archived)
        left_open = edition.left_open(ou, inputs.rows, whole, inputs.day)
    elif part:
        whole, archived = inputs.days, archived.intersection(part.days)
        inputs = value_edition.inputs_of(inputs, part, archived)
        left_open = value_edition.left_open(part, whole, inputs.day)
    day, rows, days, names = inputs.day, inputs.rows, inputs.days, inputs.names
    sums = _by_day(rows, "ou")
    by_ou: DailyCost = {d: sums.get(d, {}) for d in sorted(archived)}
    totals = _totals(by_ou, days)
    card, notes = inputs.card, list(inputs.notes)
    if card and (why_not := _unlike(card, day, inputs.currency, inputs.cost_basis, totals[day])):
        notes.append(f"Budgets, lights and anomalies are left out: {why_not}.")
        card = None
    if not ou:
        notes += commitment_notes(inputs.commitments, day, inputs.mailed_before, inputs.currency)
    last_week, day_before = (
        Against(d, words, totals.get(d), days.get(d), d in by_ou)
        for d, words in ((day - timedelta(7), "week before"), (day - timedelta(1), "day before"))
    )
    compared = {d: _of_day(rows, d) for d in (day, day_before.day, last_week.day)}
    notes += booked_notes(card, inputs.currency)
    if card and card.renamed:
        notes += [f"{renamed}." for renamed in card.renamed if (day - renamed.since).days < RENAMED_DAYS]
        names_now = newest_names(card.renamed)
        compared = {d: of if d == day else _under_new_names(of, names_now) for d, of in compared.items()}
    by_service: dict[date, Mapping[str, Decimal]] = {d: {} for d in compared if d in by_ou}
    for table in compared.values():
        by_service |= _by_day(table, "service")
    base = next((a for a in (last_week, day_before) if a.has_rows), None)
    sides = (compared[day], compared[base.day]) if base else (rows.slice(0, 0), rows.slice(0, 0))
    up, down, moves = _movers(*sides, ["ou", "service", "linkedaccount"], names)
    causes_up, causes_down, _ = _movers(*sides, ["ou", "service"], names)
    window = {d: costs for d, costs in by_ou.items() if (day - d).days < CHART_DAYS}
    return DigestFigures(
        day=day,
        currency=inputs.currency,
        cost_basis=inputs.cost_basis,
        facts=days[day],
        last_week=last_week,
        day_before=day_before,
        month=_month_to_date(totals, day),
        ous=_ranking(by_ou, day, inputs.top),
        services=_ranking(by_service, day, inputs.top),
        movers_up=up,
        moves=moves,
        movers_down=down,
        causes_up=causes_up,
        causes_down=causes_down,
        movers_against=base,
        unassigned=_unassigned(compared[day], names),
        costs=window,
        scheduled_by_day={d: days[d].scheduled for d in window if d in days},
        rows=compared[day].sort_by([(name, "ascending") for name in ("ou", "service", "linkedaccount")]),
        archive_path=inputs.archive_path or day_path(day),
        links=dict(inputs.links),
        data_through=inputs.data_through or day,
        covered=inputs.covered,
        notes=tuple(notes),
        restated=tuple(restated),
        late=inputs.late,
        age=inputs.age,
        this_year=inputs.this_year,
        ou=str(part.of) if part else ou,
        by_value=part is not None,
        card=card,
        news=tuple(inputs.news) if card else (),
        lights_before=inputs.lights_before,
        own_cost=inputs.own_cost,
        left_open=left_open,
        names=names,
        tagged=tagged_shares(inputs.dimensions, ou),
        commitments=commitment_words(inputs.commitments, day, inputs.currency, ou),
        rates=inputs.rates,
        values=() if ou or part else tuple(inputs.values),
    )


def _archived_days(inputs: DigestInputs) -> set[date]:
    """The days up to the digest's that have rows, or that are archived without any."""
    day = inputs.day
    archived = {d for d in inputs.rows["billingdate"].unique().to_pylist() if d <= day}
    archived |= {d for d, facts in inputs.days.items() if facts.empty and d <= day}
    if day not in archived or day not in inputs.days:
        raise ArchiveError(
            "there are no rows to make a digest of" if day not in archived else "the archive says nothing of the day",
            where=day_path(day),
            fix=f"Materialize ou_breakdown_parquet for {day} first.",
        )
    return archived


def _of_edition(inputs: DigestInputs, ou: str, archived: set[date]) -> DigestInputs:
    """What of the inputs is the OU's."""
    rows = edition.subtree(inputs.rows, ou)
    return replace(
        inputs,
        rows=rows,
        days=edition.facts(rows, inputs.days, archived),
        covered=replace(inputs.covered, total=None) if inputs.covered else None,
        card=edition.card_of(inputs.card, ou),
        own_cost=None,
        news=[episode for episode in inputs.news if within(episode.ou, ou)],
    )


def _of_day(rows: pa.Table, day: date) -> pa.Table:
    import pyarrow.compute as pc

    return rows.filter(pc.equal(rows["billingdate"], day))


def _unassigned(rows: pa.Table, names: Mapping[str, str]) -> tuple[tuple[str, str, Decimal], ...]:
    """Account, name and cost of what no OU has, the largest first; for a name, the account that may be meant."""
    import pyarrow.compute as pc

    sums = _sums(rows.filter(pc.equal(rows["ou"], UNASSIGNED)), ["linkedaccount"])
    largest_first = sorted(sums.items(), key=lambda item: (-abs(item[1]), item[0]))
    near = near_misses((account for (account,), _ in largest_first), names)
    named = {account: f"the map knows {meant}, {names[meant]}" for account, meant in near.items()}
    return tuple((account, names.get(account) or named.get(account, ""), cost) for (account,), cost in largest_first)


def _unlike(card: Scorecard, day: date, currency: str, cost_basis: str, total: Decimal) -> str:
    """Why a scorecard is not of these figures; empty where it is."""
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


def _under_new_names(rows: pa.Table, names: Mapping[str, str]) -> pa.Table:
    """Rows of an earlier day with renamed services as they are called now: each is compared with itself."""
    services = [names.get(service, service) for service in rows["service"].to_pylist()]
    return rows.set_column(rows.schema.get_field_index("service"), "service", [services])


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

    def line(name: str, members: Sequence[str]) -> Line:
        def cost(of_day: Mapping[str, Decimal]) -> Decimal:
            return sum((of_day.get(member, Decimal()) for member in members), Decimal())

        return Line(
            name, cost(by_day[day]), None if week is None else cost(week), None if before is None else cost(before)
        )

    ranked = sorted(by_day[day], key=lambda name: (-by_day[day][name], name))
    gone = sorted(set().union(week or (), before or ()) - set(ranked))
    kept = ranked if len(ranked) <= top + 1 else ranked[:top]
    others = ranked[len(kept) :]
    rest = line(f"{len(others)} others" if others else "No longer there", others + gone) if others or gone else None
    return Ranking(tuple(line(name, [name]) for name in kept), rest)


def _movers(
    now: pa.Table, before: pa.Table, keys: Sequence[str], names: Mapping[str, str]
) -> tuple[tuple[Mover, ...], tuple[Mover, ...], int]:
    """What rose and what fell most, in money, summed by these keys; and how many moved by a cent or more."""
    import pyarrow as pa
    import pyarrow.compute as pc

    def signed(table: pa.Table, column: str, delta: pa.ChunkedArray) -> pa.Table:
        zero = pa.repeat(pa.scalar(Decimal(), MONEY), table.num_rows)
        amounts = {"now": zero, "before": zero, column: table["cost"].cast(MONEY), "delta": delta.cast(MONEY)}
        return pa.table({**{key: table[key] for key in keys}, **amounts})

    both = pa.concat_tables([signed(now, "now", now["cost"]), signed(before, "before", pc.negate(before["cost"]))])
    sums = both.group_by(list(keys)).aggregate([(name, "sum") for name in ("now", "before", "delta")])

    def largest(order: str) -> tuple[Mover, ...]:
        by = [("delta_sum", order), *((key, "ascending") for key in keys)]
        rows = sums.take(pc.select_k_unstable(sums, k=MOVERS, sort_keys=by)).to_pylist()
        movers = (
            Mover(row["ou"], row["service"], account, row["now_sum"], row["before_sum"], names.get(account, ""))
            for row in rows
            for account in [row.get("linkedaccount", "")]
        )
        return tuple(m for m in movers if (m.delta >= CENT if order == "descending" else m.delta <= -CENT))

    moved = pc.sum(pc.greater_equal(pc.abs(sums["delta_sum"]), pa.scalar(CENT, MONEY))).as_py() or 0
    return largest("descending"), largest("ascending"), moved

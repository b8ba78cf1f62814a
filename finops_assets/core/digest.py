"""The daily digest: the figures of one day, and their rendering to HTML, text, CSV and an e-mail message.

Pure: rows and facts come in, bytes go out. Storing and sending is `core.outbox`; drawing is `core.charts`. pyarrow and
Jinja are imported where they are used, so that the command line can import this module for nothing.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from decimal import Decimal
from functools import cache
from typing import TYPE_CHECKING, Any

from finops_assets.core.charts import REST_COLOUR, daily_cost_spec, series_colours, short_day
from finops_assets.core.errors import ArchiveError, SettingsError
from finops_assets.core.money import CENT, change, money, percent, plain

if TYPE_CHECKING:
    from email.headerregistry import Address
    from email.message import EmailMessage

    import pyarrow as pa

    from finops_assets.core.charts import DailyCost

CHART_DAYS = 35
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
    """

    total: Decimal
    scheduled: Decimal = Decimal()
    settlement: str = "provisional"
    by_category: Mapping[str, Decimal] = field(default_factory=dict)
    left_out: tuple[str, ...] = ()

    @property
    def usage(self) -> Decimal:
        return self.total - self.scheduled


@dataclass(frozen=True)
class Covered:
    """The earlier days of a run over several days, which this one mail speaks for."""

    first: date
    last: date
    days: int
    total: Decimal


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
        movers_against: the day that the movers are compared with; None where there is none.
        rows: the day's rows, sorted by OU, service and account: what the CSV holds.
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

    @property
    def total(self) -> Decimal:
        return self.facts.total

    @property
    def against(self) -> Against | None:
        """The day that headlines compare with: the same weekday last week, else the day before, else none."""
        return next((a for a in (self.last_week, self.day_before) if a.total is not None), None)


@dataclass(frozen=True)
class Digest:
    """A rendered digest: the parts of the mail, none of which changes any more.

    `chart_png` is empty where there is no chart. `total` is exact, in `currency`.
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


# --- figures ------------------------------------------------------------------------------------------------------


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
    top: int = TOP,
) -> DigestFigures:
    """The figures of a day.

    Args:
        rows: billingdate, ou, service, linkedaccount and `cost` (decimal) of the day and of the archived days before
            it, best 35 of them and at least from the 1st of the month; later days are ignored.
        day: the digest's day (UTC).
        days: facts of the day, and of as many days before it as are known; a day that has facts but no rows counts in
            totals and month to date.
        names: account id -> name.
        archive_path: where the day's object is; its place in the archive by default.
        links: label -> URL or path, e.g. of the dashboard.
        data_through: newest day that has data; the day itself by default.
        covered: the earlier days that this mail speaks for.
        notes: sentences to put under the headline, e.g. what changed since the last mail, or that the export is late.
        top: OUs and services to name.

    Raises:
        ArchiveError: the day has no rows or no facts, or rows and facts of a day differ by half a cent or more.
    """
    import pyarrow.compute as pc

    from finops_assets.core.schemas import UNASSIGNED, day_path

    rows = _prepared(rows)
    by_ou = {d: costs for d, costs in _by_day(rows, "ou").items() if d <= day}
    if day not in by_ou or day not in days:
        raise ArchiveError(
            "there are no rows to make a digest of" if day not in by_ou else "the archive says nothing of the day",
            where=day_path(day),
            fix=f"Materialize ou_breakdown_parquet for {day} first.",
        )
    totals = _totals(by_ou, days)
    last_week, day_before = (
        Against(d, words, totals.get(d), days.get(d), d in by_ou)
        for d, words in ((day - timedelta(7), "week before"), (day - timedelta(1), "day before"))
    )
    compared = {d: rows.filter(pc.equal(rows["billingdate"], d)) for d in (day, day_before.day, last_week.day)}
    by_service = {d: of_day for table in compared.values() for d, of_day in _by_day(table, "service").items()}
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
    )


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
    from finops_assets.core.pipeline import HALF_A_CENT
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


def chart_spec(figures: DigestFigures) -> dict[str, Any]:
    """The digest's chart, for `charts.to_png`."""
    return daily_cost_spec(
        figures.costs,
        figures.day,
        currency=figures.currency,
        basis=basis_words(figures.cost_basis),
        scheduled=figures.scheduled_by_day,
    )


# --- words --------------------------------------------------------------------------------------------------------


def basis_words(cost_basis: str) -> str:
    """`billed` -> `billed cost`."""
    return BASES.get(cost_basis, cost_basis)


_BIDI_CONTROLS = dict.fromkeys([0x061C, 0x200E, 0x200F, *range(0x202A, 0x202F), *range(0x2066, 0x206A)])


def tidy(text: str, limit: int = 120) -> str:
    """A name as one line of harmless text: no line ends, control or bidirectional-override characters, not endless."""
    text = "".join(" " if unicodedata.category(c) in ("Cc", "Zl", "Zp") else c for c in text.translate(_BIDI_CONTROLS))
    text = " ".join(text.split())
    return text if len(text) <= limit else text[: limit - 1] + "…"


def percent_words(now: Decimal, before: Decimal) -> str:
    """`core.money.percent`, cut off where the base is next to nothing, and without a sign where it rounds to zero."""
    words = ">+999 %" if before > 0 and now - before >= 10 * before else percent(now, before)
    return "0.0 %" if words in ("+0.0 %", "-0.0 %") else words


def days_words(days: Sequence[date]) -> str:
    """`1-3 Aug, 29 Aug`: ascending days, stretches drawn together."""
    from finops_assets.core.pipeline import contiguous

    return ", ".join(_stretch(days[0], days[-1]) for days in contiguous(days))


def _stretch(first: date, last: date) -> str:
    """`1-3 Sep` (with an en dash), or `13 Jun to 9 Sep`."""
    if first == last:
        return short_day(first, weekday=False)
    end = short_day(last, weekday=False)
    if (first.year, first.month) == (last.year, last.month):
        return f"{first.day}\u2013{end}"
    return f"{short_day(first, weekday=False)} to {end}"


def _compared(now: Decimal, before: Decimal, day: date) -> str:
    """`+4.2 % on Wed 3 Sep`, or the amount where a percentage would lie."""
    words = percent_words(now, before)
    return f"{change(now - before) if words in ('n/a', 'new') else words} on {short_day(day)}"


def headline(figures: DigestFigures) -> str:
    """One plain sentence of what matters beside the total: how it compares, and what explains that."""
    facts, against, currency = figures.facts, figures.against, tidy(figures.currency)
    if against is None:
        none = " or ".join(short_day(a.day) for a in (figures.last_week, figures.day_before))
        return f"There is no data for {none} to compare {short_day(figures.day)} with."
    delta = figures.total - against.total
    on = f"on {short_day(against.day)}"
    scheduled_delta = facts.scheduled - against.facts.scheduled if against.facts else Decimal()
    if abs(scheduled_delta) > max(LEVEL * abs(against.total), abs(delta) / 2, CENT):
        usage = _usage_words(figures, against)
        if facts.scheduled:
            what = ", ".join(f"{words} {money(cost)}" for words, cost in scheduled_lines(facts))
            return f"{money(facts.scheduled, currency)} of the total are scheduled charges ({what}); {usage}."
        carried = money(against.facts.scheduled, currency)
        return f"{change(delta, currency)} {on}, which carried {carried} of scheduled charges; {usage}."
    if against.total > 0 and abs(delta) < LEVEL * against.total:
        sentence = f"Level with {short_day(against.day)} ({percent_words(figures.total, against.total)})"
        causes = sorted((*figures.causes_up[:1], *figures.causes_down[:1]), key=lambda m: -abs(m.delta))
        if causes and abs(causes[0].delta) >= LEVEL * against.total:
            sentence += f"; the largest single move is {_cause_words(figures, causes[0])}"
        return sentence + "."
    sentence = f"{change(delta, currency)} {on}"
    if against.total > 0:
        moved = percent_words(figures.total, against.total).lstrip("+-")
        sentence = f"{'Up' if delta > 0 else 'Down'} {moved} {on} ({change(delta, currency)})"
    causes = figures.causes_up if delta > 0 else figures.causes_down
    if causes and figures.movers_against == against and abs(causes[0].delta) >= abs(delta) / 4:
        part = "mainly" if abs(causes[0].delta) >= abs(delta) / 2 else "the largest part"
        sentence += f", {part} {_cause_words(figures, causes[0])}"
    if delta < 0 and facts.settlement == "provisional":
        sentence += "; the day is provisional and may still rise"
    return sentence + "."


def _usage_words(figures: DigestFigures, against: Against) -> str:
    usage, before = figures.facts.usage, against.facts.usage
    return f"usage alone is {money(usage, tidy(figures.currency))}, {_compared(usage, before, against.day)}"


def _cause_words(figures: DigestFigures, cause: Mover) -> str:
    """`Amazon EC2 in Engineering/Platform (+310.20, nearly all in payments-prod)`."""
    movers = figures.movers_up if cause.delta > 0 else figures.movers_down
    account = next((m for m in movers if (m.ou, m.service) == (cause.ou, cause.service)), None)
    words = change(cause.delta, tidy(figures.currency))
    if account and abs(account.delta) >= abs(cause.delta) * 9 / 10:
        words += f", account {tidy(account.name) or tidy(account.account)}"
    return f"{tidy(cause.service)} in {tidy(cause.ou)} ({words})"


def scheduled_note(figures: DigestFigures) -> str:
    """What scheduled charges do to the comparisons; empty where neither day has any."""
    against = figures.movers_against
    facts = [(figures.day, figures.facts)] + ([(against.day, against.facts)] if against and against.facts else [])
    carried = [
        f"{short_day(d)} carries {money(f.scheduled, tidy(figures.currency))} of scheduled charges"
        for d, f in facts
        if scheduled_lines(f)
    ]
    if not carried:
        return ""
    note = f"{', and '.join(carried)} (tax, fees, credits, refunds), booked on one day: what they move is not usage."
    if len(facts) == 2:
        words = _usage_words(figures, against)
        note += f" {words[0].upper()}{words[1:]}."
    return note


def subject(figures: DigestFigures, *, revision: int = 1, prefix: str = "[FinOps]") -> str:
    """`[FinOps] 10 Sep 2025: 3,412.77 USD (+4.2 % on Wed 3 Sep), provisional`."""
    against = figures.against
    text = f"{tidy(prefix)} {short_day(figures.day, weekday=False)} {figures.day.year}".strip()
    text += f", revision {revision}" if revision > 1 else ""
    text += f": {money(figures.total, tidy(figures.currency))}"
    text += f" ({_compared(figures.total, against.total, against.day)})" if against else ""
    return text + (", provisional" if figures.facts.settlement == "provisional" else "")


# --- rendering ----------------------------------------------------------------------------------------------------


def render(figures: DigestFigures, chart_png: bytes = b"", *, revision: int = 1, prefix: str = "[FinOps]") -> Digest:
    """The figures as a mail's parts; without a chart the mail is complete too."""
    csv_name = f"ou_breakdown_{figures.day}{f'_r{revision}' if revision > 1 else ''}.csv"
    view = _view(figures, csv_name, revision) | {"cid": _chart_id(figures.day, revision) if chart_png else ""}
    environment = _environment()
    title = subject(figures, revision=revision, prefix=prefix)
    return Digest(
        day=figures.day,
        subject=title,
        html=environment.get_template("digest.html.j2").render(view, subject=title).strip() + "\n",
        text=re.sub(r"\n{3,}", "\n\n", environment.get_template("digest.txt.j2").render(view)).strip() + "\n",
        csv=breakdown_csv(figures.rows),
        csv_name=csv_name,
        chart_png=chart_png,
        revision=revision,
        total=figures.total,
        currency=figures.currency,
    )


@cache
def _environment() -> Any:
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("finops_assets"),
        autoescape=jinja2.select_autoescape(enabled_extensions=("html.j2",), default=False),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals["columns"] = columns
    return environment


def _chart_id(day: date, revision: int) -> str:
    return f"chart-{day}-r{revision}@finops-assets"


def _view(figures: DigestFigures, csv_name: str, revision: int) -> dict[str, Any]:
    """What the templates show, every number already in words, every name already one line."""
    currency, facts, against = tidy(figures.currency), figures.facts, figures.movers_against
    basis = basis_words(figures.cost_basis)
    days_compared = (figures.last_week, figures.day_before)
    colours = series_colours(figures.costs)
    through = figures.data_through
    return {
        "day": f"{short_day(figures.day)} {figures.day.year}",
        "day_short": short_day(figures.day),
        "revision": revision,
        "total": money(figures.total),
        "currency": currency,
        "basis": basis,
        "unit": f"{currency}, {basis}",
        "settlement": facts.settlement,
        "settlement_words": SETTLEMENTS.get(facts.settlement, facts.settlement),
        "headline": headline(figures),
        "notes": [tidy(note, 600) for note in figures.notes],
        "covered": _covered_words(figures),
        "cards": [*(_day_card(figures, a) for a in days_compared), _month_card(figures.month)],
        "chart_words": _chart_words(figures),
        "compared": [(short_day(a.day), a.words) for a in _columns_of(figures)],
        "no_data": " and ".join(short_day(a.day) for a in days_compared if not a.has_rows),
        "ous": _table(figures, figures.ous, colours),
        "services": _table(figures, figures.services, {}),
        "all": _row(figures, Line("All", figures.total, figures.last_week.total, figures.day_before.total), ""),
        "movers_against": f"{short_day(against.day)}, {against.words}" if against else "",
        "movers": [
            ("Rose most", [_mover_row(m) for m in figures.movers_up]),
            ("Fell most", [_mover_row(m) for m in figures.movers_down]),
        ],
        "scheduled_note": scheduled_note(figures),
        "scheduled": [(words, money(cost)) for words, cost in scheduled_lines(facts)],
        "scheduled_total": money(facts.scheduled),
        **_unassigned_view(figures),
        "data_through": f"{short_day(through)} {through.year}",
        "left_out": [tidy(sentence, 300) for sentence in facts.left_out],
        "archive_path": tidy(figures.archive_path, 500),
        "links": [
            (tidy(label), tidy(url, 2000), url.startswith(("https://", "http://")))
            for label, url in figures.links.items()
        ],
        "csv_name": csv_name,
        "csv_rows": f"{figures.rows.num_rows:,}",
        "csv_sum": plain(sum(figures.rows["cost"].to_pylist(), Decimal())),
    }


def _columns_of(figures: DigestFigures) -> list[Against]:
    return [a for a in (figures.last_week, figures.day_before) if a.has_rows]


def _covered_words(figures: DigestFigures) -> str:
    covered = figures.covered
    if covered is None:
        return ""
    earlier = "1 earlier day" if covered.days == 1 else f"{covered.days} earlier days"
    stretch = f"{_stretch(covered.first, covered.last)} {covered.last.year}"
    return (
        f"This mail also covers the backfill of {earlier}, {stretch}: {money(covered.total, tidy(figures.currency))} "
        f"({basis_words(figures.cost_basis)}) in total. No other mail is sent for them."
    )


def _change(now: Decimal, before: Decimal | None) -> dict[str, str] | None:
    """A change in words, with its direction as a sign, an arrow and a tone; None where there is no data."""
    if before is None:
        return None
    delta = now - before
    direction = "flat" if abs(delta) < CENT / 2 else "up" if delta > 0 else "down"
    return {
        "percent": percent_words(now, before),
        "amount": change(delta),
        "tone": direction if abs(delta) >= LOUD * abs(before) else "flat",
        "direction": direction,
        "arrow": {"flat": "", "up": "▲", "down": "▼"}[direction],
    }


def _day_card(figures: DigestFigures, against: Against) -> dict[str, Any]:
    label = f"{short_day(against.day)}, {against.words}"
    if against.total is None:
        return _card(label, "no data", [f"for {short_day(against.day)}"])
    moved = _change(figures.total, against.total)
    details = [f"{moved['amount']} on {money(against.total)}"]
    if against.facts and (figures.facts.scheduled or against.facts.scheduled):
        details.append(f"usage alone {percent_words(figures.facts.usage, against.facts.usage)}")
    return _card(label, moved["percent"], details, moved["arrow"], moved["tone"])


def _month_card(month: MonthToDate) -> dict[str, Any]:
    details = [f"without {days_words(month.missing)}: no data"] if month.missing else []
    if month.before is not None:
        same_days = _stretch(month.before_first, month.before_first + (month.last - month.first))
        details.append(f"{percent_words(month.total, month.before)} on {same_days} ({money(month.before)})")
    return _card(f"Month to date, {_stretch(month.first, month.last)}", money(month.total), details)


def _card(label: str, big: str, details: Sequence[str], arrow: str = "", tone: str = "flat") -> dict[str, Any]:
    return {"label": label, "big": big, "arrow": arrow, "tone": tone, "details": list(details)}


def _chart_words(figures: DigestFigures) -> str:
    """The chart for those who do not see it."""
    totals = {d: sum(costs.values(), Decimal()) for d, costs in figures.costs.items()}
    low, high = min(totals, key=totals.get), max(totals, key=totals.get)
    first = min(totals)
    mean = sum(totals.values(), Decimal()) / len(totals)
    return (
        f"Chart: daily cost by OU, {_stretch(first, figures.day)}, in {tidy(figures.currency)}. "
        f"{short_day(figures.day)}: {money(figures.total)}. Highest {short_day(high)}: {money(totals[high])}. "
        f"Lowest {short_day(low)}: {money(totals[low])}. Average of {len(totals)} days: {money(mean)}."
    )


def _table(figures: DigestFigures, ranking: Ranking, colours: Mapping[str, str]) -> list[dict[str, Any]]:
    rows = [_row(figures, line, colours.get(line.name, REST_COLOUR)) for line in ranking.lines]
    return rows + ([_row(figures, ranking.rest, REST_COLOUR)] if ranking.rest else [])


def _row(figures: DigestFigures, line: Line, colour: str) -> dict[str, Any]:
    """A share is shown where it means something: a part of a total above zero, itself not below."""
    share = line.cost / figures.total * 100 if figures.total > 0 and line.cost >= 0 else None
    befores = {figures.last_week.day: line.last_week, figures.day_before.day: line.day_before}
    return {
        "name": tidy(line.name) or "(no name)",
        "cost": money(line.cost),
        "share": "" if share is None else f"{share:.1f} %",
        "bar": 0 if share is None else max(1, min(100, round(share))),
        "colour": colour,
        "changes": [_change(line.cost, befores[a.day]) for a in _columns_of(figures)],
    }


def _mover_row(mover: Mover) -> dict[str, Any]:
    name, account = tidy(mover.name), tidy(mover.account)
    return {
        "service": tidy(mover.service) or "(no service)",
        "ou": tidy(mover.ou),
        "account": f"{name} ({account})" if name else account,
        "now": money(mover.now),
        "before": money(mover.before),
        **_change(mover.now, mover.before),
    }


def _unassigned_view(figures: DigestFigures) -> dict[str, Any]:
    shown, others = figures.unassigned[:UNASSIGNED_SHOWN], figures.unassigned[UNASSIGNED_SHOWN:]
    total = sum((cost for *_, cost in figures.unassigned), Decimal())
    return {
        "unassigned": [(tidy(account), tidy(name), money(cost)) for account, name, cost in shown],
        "unassigned_total": money(total),
        "unassigned_others": (
            f"and {len(others)} more accounts, {money(sum((c for *_, c in others), Decimal()))}" if others else ""
        ),
    }


def columns(rows: Sequence[Sequence[str]], align: str, widest: int = 38) -> str:
    """Rows of cells as aligned text; `align` has `<` or `>` for each column, `widest` bounds a cell in characters."""
    cells = [[cell if len(cell) <= widest else cell[: widest - 1] + "…" for cell in row] for row in rows]
    widths = [max(map(_width, column)) for column in zip(*cells, strict=True)]
    lines = []
    for row in cells:
        padded = []
        for cell, width, side in zip(row, widths, align, strict=True):
            space = " " * (width - _width(cell))
            padded.append(_isolated(cell) + space if side == "<" else space + _isolated(cell))
        lines.append("  ".join(padded).rstrip())
    return "\n".join(lines)


def _width(text: str) -> int:
    """Columns of a fixed-width font."""
    seen = [c for c in text if not unicodedata.combining(c) and unicodedata.category(c) != "Cf"]
    return len(seen) + sum(unicodedata.east_asian_width(c) in "WF" for c in seen)


def _isolated(text: str) -> str:
    """Right-to-left text between isolates, so that the numbers beside it keep their places."""
    rtl = any(unicodedata.bidirectional(c) in ("R", "AL", "AN") for c in text)
    return f"\u2068{text}\u2069" if rtl else text


_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")


def breakdown_csv(rows: pa.Table) -> bytes:
    """Every row of the day for a spreadsheet: exact plain decimals, UTF-8 with a byte order mark, CRLF, RFC 4180.

    Excel reads UTF-8 only with the mark; Python's `utf-8-sig`, pandas and DuckDB skip it. A text cell that a
    spreadsheet would run as a formula gets a `'` in front; numbers are untouched.
    """
    import csv
    import io

    from finops_assets.core.schemas import CSV_HEADER

    def texts(column: str) -> list[str]:
        return [f"'{text}" if text.startswith(_FORMULA) else text for text in rows[column].to_pylist()]

    out = io.StringIO(newline="")
    writer = csv.writer(out, lineterminator="\r\n")
    writer.writerow(CSV_HEADER)
    days = [day.isoformat() for day in rows["billingdate"].to_pylist()]
    costs = map(plain, rows["cost"].to_pylist())
    writer.writerows(zip(days, texts("ou"), texts("service"), texts("linkedaccount"), costs, strict=True))
    return out.getvalue().encode("utf-8-sig")


# --- the message --------------------------------------------------------------------------------------------------

_ATOM = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+"
_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_ADDRESS = re.compile(rf"({_ATOM}(?:\.{_ATOM})*)@({_LABEL}(?:\.{_LABEL})*)")
_NAMED = re.compile(r'"?([^"<>\r\n]*?)"?\s*<([^<>]*)>')


def mail_address(text: str, setting: str) -> Address:
    """An address, `finops@example.com` or `FinOps <finops@example.com>`.

    Raises:
        SettingsError: it is not one that mail servers take; the message names the address and the setting.
    """
    from email.headerregistry import Address

    named = _NAMED.fullmatch(text.strip(" "))
    name, spec = named.groups() if named else ("", text.strip(" "))
    found = _ADDRESS.fullmatch(spec)
    if not found or len(found[1]) > 64 or len(spec) > 254 or any(unicodedata.category(c) == "Cc" for c in name):
        raise SettingsError(
            f"{text!r} is not an e-mail address",
            where=setting,
            fix="Write it as name@example.com, in plain ASCII letters (a domain in its xn-- form).",
        )
    return Address(display_name=name, username=found[1], domain=found[2])


def message(digest: Digest, *, sender: str, recipient: str, message_id: str, date_header: datetime) -> EmailMessage:
    """The mail to one recipient: mixed[alternative[text, related[html, chart]], CSV].

    The same arguments give the same bytes: the date is passed in and the boundaries are derived from the content.

    Raises:
        SettingsError: an address is malformed, or carries a line end.
    """
    from email.message import EmailMessage
    from email.policy import SMTP
    from email.utils import format_datetime

    mail = EmailMessage(policy=SMTP)
    mail["From"] = mail_address(sender, "mail.sender")
    mail["To"] = mail_address(recipient, "mail.recipients")
    mail["Subject"] = tidy(digest.subject, 400)
    mail["Date"] = format_datetime(date_header)
    mail["Message-ID"] = message_id
    mail["Auto-Submitted"] = "auto-generated"
    mail["X-Finops-Day"] = digest.day.isoformat()
    mail["X-Finops-Revision"] = str(digest.revision)
    # Quoted-printable and base64 only: 8-bit bodies would depend on what the servers in between can do.
    mail.set_content(digest.text, cte="quoted-printable")
    mail.add_alternative(digest.html, subtype="html", cte="quoted-printable")
    if digest.chart_png:
        mail.get_payload()[1].add_related(
            digest.chart_png, "image", "png", cid=f"<{_chart_id(digest.day, digest.revision)}>", filename="chart.png"
        )
    mail.add_attachment(digest.csv, "text", "csv", filename=digest.csv_name, params={"charset": "utf-8"})
    content = hashlib.sha256(b"".join((digest.text.encode(), digest.html.encode(), digest.csv, digest.chart_png)))
    multiparts = [part for part in mail.walk() if part.is_multipart()]
    for number, part in enumerate(multiparts):
        part.set_boundary(f"finops-{content.hexdigest()[:32]}-{number}")
    return mail

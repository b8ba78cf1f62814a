"""Scores by dimension: each value's day, month, budget, forecast and light, as of the day.

One object a day, finops_db.dimension_scorecard, beside that of OUs. Anomalies are found by OU, service and account, and
stand there. A value's month knows the days that are archived with its dimension; others are counted as unknown, and a
month with such days is never green.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from finops_assets.core.analytics.budgets import AMBER, GREEN, NONE, RED, Budgets, Line, line_of
from finops_assets.core.analytics.forecast import Forecast, forecasts_by_day
from finops_assets.core.archive.comparable_days import WRITERS
from finops_assets.core.archive.day_dimensions import named_dimensions
from finops_assets.core.archive.dimension_sums import dimension_sums
from finops_assets.core.bill.dimension_keys import DimensionValue
from finops_assets.core.notes import parsing, put_if_other, read_note
from finops_assets.core.schemas import DIMENSION_SCORECARD, DIMENSIONS, VALUE_SCORES_PREFIX, value_scores_path

if TYPE_CHECKING:
    from finops_assets.core.archive.journal import Journal
    from finops_assets.core.ports import Archive
    from finops_assets.core.values import PublishedDay

MOST_SCORED = 200
"""Values of a dimension that a day scores by name: those with a budget, and the largest of the month."""

MADE_OF = b"finops.made_of"
"""In the object's metadata: the archived day that it was made of (`made_of`)."""


@dataclass(frozen=True)
class ValueScore:
    """A value on a day: a row of the DIMENSION_SCORECARD schema, with amounts as exact decimals in `currency`.

    Attributes:
        of: the dimension and the value; an empty value for all that are not named.
        cost: of the day.
        unknown_days: archived days from the 1st to the day on which its cost is not known.
        line: the month against the budget, as an OU's.
        settlement: of the day, when it was scored.
        currency, cost_basis: of every amount.
    """

    of: DimensionValue
    cost: Decimal
    unknown_days: int
    line: Line
    settlement: str
    currency: str
    cost_basis: str


URGENT = (RED, AMBER, GREEN, NONE)


def most_urgent_first(scores: Iterable[ValueScore]) -> list[ValueScore]:
    """The scores by their lights, and of one light the largest share of the budget first."""
    return sorted(scores, key=lambda of: (URGENT.index(of.line.light), -(of.line.share or 0.0), of.of))


class ValueSeries:
    """What each value of a dimension costs on the days on which that is known.

    A day knows all values where it has the dimension, and names them all; else those that it names.
    """

    def __init__(self, days: Iterable[date]) -> None:
        self.costs: dict[str, dict[date, Decimal]] = {}
        self.totals: dict[date, Decimal] = dict.fromkeys(days, Decimal())
        self.folded: set[date] = set()

    def add(self, day: date, value: str | None, cost: Decimal) -> None:
        """A row of `dimension_sums`."""
        self.totals[day] = self.totals.get(day, Decimal()) + cost
        if value is None:
            self.folded.add(day)
        else:
            of = self.costs.setdefault(value, {})
            of[day] = of.get(day, Decimal()) + cost

    def has_more(self, named: Collection[str], day: date) -> bool:
        """Whether the month up to a day has costs of other values than these."""
        folded = any(_in_month(d, day) for d in self.folded)
        return folded or any(_in_month(d, day) for value, of in self.costs.items() if value not in named for d in of)

    def of(self, value: str) -> dict[date, Decimal]:
        """A value's cost on each day on which it is known; 0 where the day has the dimension and not the value."""
        return {**{day: Decimal() for day in self.totals if day not in self.folded}, **self.costs.get(value, {})}


def value_series(archive: Archive, days: Mapping[date, PublishedDay]) -> dict[str, ValueSeries]:
    """The costs of these days by dimension and value.

    Args:
        archive: as costs are shown.
        days: as the archive describes them. One without rows costs nothing, of each value, too.
    """
    empty = [day for day, of in days.items() if not of.rows]
    series: dict[str, ValueSeries] = {}
    if any(named_dimensions(of.metadata) for of in days.values()):
        table = dimension_sums(archive, days)
        columns = (table.column(name).to_pylist() for name in ("billingdate", "dimension", "value", "cost"))
        for day, dimension, value, cost in zip(*columns, strict=True):
            if dimension not in series:
                series[dimension] = ValueSeries(empty)
            series[dimension].add(day, value, cost)
    return series


@dataclass(frozen=True)
class ValueBasis:
    """What days of one currency and cost basis are scored by.

    Attributes:
        archived: the days, with those before that forecasts need.
        newest: tells currency and cost basis.
        budgets: the plan.
        unsettled: days that may be incomplete.
    """

    archived: Mapping[date, PublishedDay]
    newest: PublishedDay
    budgets: Budgets
    unsettled: Sequence[date]


class ValueScoring:
    """Makes the scores by dimension of archived days, and keeps them.

    Args:
        archive: as costs are shown.
        journal: tells how final days are.
        amber: share of a budget from which on a month is amber.
    """

    def __init__(self, archive: Archive, journal: Journal, amber: float) -> None:
        self._archive, self._journal, self._amber = archive, journal, amber

    def score(self, days: Sequence[date], basis: ValueBasis) -> None:
        """Score these (ascending) days and write what has changed; a day without dimensions loses its scores."""
        kept = set(self._archive.list(f"{VALUE_SCORES_PREFIX}/"))
        scores = self.scores(days, basis)
        write = {day: of for day, of in scores.items() if of or value_scores_path(day) in kept}

        def keep(day: date) -> None:
            data = to_parquet(day, write[day], made_of(basis.archived[day]))
            put_if_other(self._archive, value_scores_path(day), data)

        with ThreadPoolExecutor(WRITERS) as writers:
            list(writers.map(keep, write))

    def scores(self, days: Sequence[date], basis: ValueBasis) -> dict[date, list[ValueScore]]:
        """The scores of these days, by dimension and value; none of a day without dimensions."""
        scores: dict[date, list[ValueScore]] = {day: [] for day in days}
        for key, series in sorted(value_series(self._archive, basis.archived).items()):
            for day, of_day in self._of_key(key, series, days, basis).items():
                scores[day] += of_day
        return scores

    def _of_key(
        self, key: str, series: ValueSeries, days: Sequence[date], basis: ValueBasis
    ) -> dict[date, list[ValueScore]]:
        """The scores of one dimension, of the days that have it."""
        scored = {day: _scored_values(key, series, day, basis.budgets) for day in days if day in series.totals}
        costs = {value: series.of(value) for value in sorted(set().union(*scored.values()))}
        expected = forecasts_by_day(costs, list(scored), basis.unsettled)
        settlement = self._journal.settled()
        result: dict[date, list[ValueScore]] = {}
        for day, values in scored.items():

            def score(value: str, cost: Decimal, known: Collection[date], line: Line, day: date = day) -> ValueScore:
                of, newest = DimensionValue(key, value), basis.newest
                unknown = sum(d not in known for d in basis.archived if _in_month(d, day))
                line = _judged(line, unknown, key)
                return ValueScore(of, cost, unknown, line, settlement(day), newest.currency, newest.cost_basis)

            of_day = [
                score(value, costs[value].get(day, Decimal()), costs[value], line)
                for value in sorted(values)
                for line in [self._line(DimensionValue(key, value), expected[day][value], costs[value], day, basis)]
            ]
            if series.has_more(values, day):
                month = sum((cost for d, cost in series.totals.items() if _in_month(d, day)), Decimal())
                rest = Forecast(month - sum((each.line.forecast.month_to_date for each in of_day), Decimal()))
                cost = series.totals[day] - sum((each.cost for each in of_day), Decimal())
                of_day.append(score("", cost, series.totals, Line("", None, rest, None, None, NONE, "no budget")))
            result[day] = of_day
        return result

    def _line(
        self, of: DimensionValue, expected: Forecast, costs: Mapping[date, Decimal], day: date, basis: ValueBasis
    ) -> Line:
        budget = basis.budgets.of_value(of, f"{day:%Y-%m}")
        return line_of(str(of), budget, expected, costs, day, basis.newest.currency, self._amber)


def _in_month(other: date, day: date) -> bool:
    """Whether another day is in the month up to a day."""
    return day.replace(day=1) <= other <= day


def _scored_values(key: str, series: ValueSeries, day: date, budgets: Budgets) -> set[str]:
    """The values that a day scores by name: those with a budget, and the largest of the month to date."""
    month = {
        value: sum((abs(cost) for d, cost in of.items() if _in_month(d, day)), Decimal())
        for value, of in series.costs.items()
        if any(_in_month(d, day) for d in of)
    }
    largest = sorted(month, key=lambda value: (-month[value], value))[:MOST_SCORED]
    return {*largest, *(each.value for each in budgets.values(f"{day:%Y-%m}") if each.key == key)}


def _judged(line: Line, unknown: int, key: str) -> Line:
    """The line of a month that is not known whole: it says so, and is never green."""
    if not unknown:
        return line
    days = "1 day" if unknown == 1 else f"{unknown} days"
    words = f"without {days} of the month on which {key} is not known"
    return replace(line, light=AMBER if line.light == GREEN else line.light, reason=f"{line.reason}; {words}")


def made_of(published: PublishedDay) -> str:
    """An id of an archived day's rows and dimensions: the rows alone do not tell that values have moved."""
    return sha256(f"{published.day} {published.fingerprint} {published.metadata.get(DIMENSIONS)}".encode()).hexdigest()


def to_parquet(day: date, scores: Sequence[ValueScore], of: str) -> bytes:
    """The day's object; the same scores give the same bytes. `of` is what they were made of."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = pa.Table.from_pylist([_row(day, score) for score in scores], DIMENSION_SCORECARD)
    sink = pa.BufferOutputStream()
    metadata = {MADE_OF: of.encode()}
    pq.write_table(table.replace_schema_metadata(metadata), sink, compression="snappy")
    return sink.getvalue().to_pybytes()


def _row(day: date, score: ValueScore) -> dict[str, Any]:
    line = score.line
    return {
        "billingdate": day,
        "dimension": score.of.key,
        "value": score.of.value or None,
        "daycost": score.cost,
        "monthtodate": line.forecast.month_to_date,
        "unknowndays": score.unknown_days,
        "budget": line.budget,
        "forecastp10": line.forecast.low,
        "forecastp50": line.forecast.expected,
        "forecastp90": line.forecast.high,
        "budgetshare": line.share,
        "light": line.light,
        "lightreason": line.reason,
        "budgetpassed": line.passed,
        "settlement": score.settlement,
        "currency": score.currency,
        "costbasis": score.cost_basis,
    }


def read(archive: Archive, published: PublishedDay) -> tuple[ValueScore, ...]:
    """The scores by dimension of an archived day; none where there are none of its rows as they are now."""
    path = value_scores_path(published.day)
    none: tuple[str, tuple[ValueScore, ...]] = ("", ())
    of, scores = read_note(archive, path, lambda data: _parsed(data, path), none)
    return scores if of == made_of(published) else ()


def _parsed(data: bytes, where: str) -> tuple[str, tuple[ValueScore, ...]]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    with parsing("scores by dimension", where, pa.ArrowException, OSError):
        table = pq.ParquetFile(pa.BufferReader(data)).read()
        table.validate(full=True)
        return table.schema.metadata[MADE_OF].decode(), tuple(_of_row(row) for row in table.to_pylist())


def _of_row(row: Mapping[str, Any]) -> ValueScore:
    of = DimensionValue(row["dimension"], row["value"] or "")
    forecast = Forecast(row["monthtodate"], row["forecastp50"], row["forecastp10"], row["forecastp90"])
    return ValueScore(
        of=of,
        cost=row["daycost"],
        unknown_days=row["unknowndays"],
        line=Line(
            str(of),
            row["budget"],
            forecast,
            row["budgetshare"],
            row["budgetpassed"],
            row["light"],
            row["lightreason"],
        ),
        settlement=row["settlement"],
        currency=row["currency"],
        cost_basis=row["costbasis"],
    )

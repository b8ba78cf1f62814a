"""The scorecard of a day: each OU's cost, month, budget, forecast, light and anomaly, as of that day.

`All` is the whole organization; an OU contains what lies below it. One object a day in the archive, which is
finops_db.ou_scorecard; what is not of a single OU (episodes, the forecast's error, notes) is kept in its metadata.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from finops_assets.core.analytics.anomalies import Episode
from finops_assets.core.analytics.doubling import Question
from finops_assets.core.analytics.drivers import Drivers
from finops_assets.core.analytics.forecast import MonthPart
from finops_assets.core.analytics.renames import Renamed
from finops_assets.core.analytics.scheduled import Booked
from finops_assets.core.notes import parsing, read_note
from finops_assets.core.records import RecordType
from finops_assets.core.schemas import OU_SCORECARD, scorecard_path

if TYPE_CHECKING:
    from finops_assets.core.analytics.budgets import Line
    from finops_assets.core.analytics.kept_parts import KeptParts
    from finops_assets.core.ports import Archive


@dataclass(frozen=True)
class Score:
    """An OU on a day: a row of the OU_SCORECARD schema, with amounts as exact decimals in `currency`.

    Attributes:
        ou: its path, or `All`.
        cost: of the day, with all that lies below the OU.
        direct: of the OU's own accounts; over a day's rows it sums to the day's total.
        low, high: what the day was expected to cost; None with too little history.
        month_to_date: from the 1st to the day, exact.
        budget: None where it has none.
        p10, p50, p90: the month's total, and the band around it; None where nothing is forecast.
        share: of the budget that the month is expected to take; None without one.
        light: `green`, `amber`, `red` or `no budget` (`budgets` has their shapes).
        reason: the light in words.
        passed: the day on which the budget was or will be passed; None where it is not.
        anomaly: the largest episode of this OU (or below it) that has this day in it; None where there is none.
        settlement: `provisional`, `stable` or `closed`, when the scorecard was made.
        parts: what the month is made of, usage and each kind of scheduled charge; empty where the bill does not tell.
    """

    ou: str
    cost: Decimal
    direct: Decimal
    low: Decimal | None
    high: Decimal | None
    month_to_date: Decimal
    budget: Decimal | None
    p10: Decimal | None
    p50: Decimal | None
    p90: Decimal | None
    share: float | None
    light: str
    reason: str
    passed: date | None
    anomaly: Episode | None
    settlement: str
    parts: tuple[MonthPart, ...] = ()

    @classmethod
    def of_month(
        cls,
        line: Line,
        *,
        cost: Decimal,
        direct: Decimal,
        band: tuple[Decimal, Decimal] | None,
        anomaly: Episode | None,
        settlement: str,
    ) -> Score:
        """A score whose month is a line of the budgets; `band` is what the day was expected to cost."""
        low, high = band or (None, None)
        return cls(
            ou=line.ou,
            cost=cost,
            direct=direct,
            low=low,
            high=high,
            month_to_date=line.forecast.month_to_date,
            budget=line.budget,
            p10=line.forecast.low,
            p50=line.forecast.expected,
            p90=line.forecast.high,
            share=line.share,
            light=line.light,
            reason=line.reason,
            passed=line.passed,
            anomaly=anomaly,
            settlement=settlement,
            parts=line.forecast.parts,
        )


@dataclass(frozen=True)
class Scorecard:
    """A day's scores: `All` first, then by path, parents above their children, Unassigned last.

    Attributes:
        day: the day that everything is as of.
        currency, cost_basis: of every amount.
        scores: one for each OU.
        episodes: the anomalies of the last weeks as they stand on this day, the newest and largest first.
        drivers: why the day's cost moved; None where that is not known.
        parts: of the drivers; None where they are not known.
        causes: of its episodes, in a clause each, by id; only of a card that was read for people.
        error: the median error of the forecast of the whole, in back-tests on past months, as a share; None without.
        why_no_forecast: why nothing is forecast for the whole; empty where something is.
        notes: what readers must know, e.g. that the budgets could not be read.
        fingerprint: of the archived rows of the day that it was made of.
        questions: stretches of the last weeks on which the bill has doubled everywhere, ascending.
        renamed: services that have another name since one of the last days.
        why_whole: why usage is not told from what is scheduled, in words; empty where it is.
        booked: the day's refunds, and its credits that come once.
    """

    day: date
    currency: str
    cost_basis: str
    scores: tuple[Score, ...]
    episodes: tuple[Episode, ...] = ()
    drivers: Drivers | None = None
    parts: KeptParts | None = None
    causes: Mapping[str, str] = field(default_factory=dict)
    error: float | None = None
    why_no_forecast: str = ""
    notes: tuple[str, ...] = ()
    fingerprint: str = ""
    questions: tuple[Question, ...] = ()
    renamed: tuple[Renamed, ...] = ()
    why_whole: str = ""
    booked: tuple[Booked, ...] = ()

    @property
    def by_ou(self) -> Mapping[str, Score]:
        return {score.ou: score for score in self.scores}

    @property
    def whole(self) -> Score:
        """The organization's own."""
        return self.scores[0]


@dataclass(frozen=True)
class _Record:
    """What a scorecard says beside its rows, in the metadata of its Parquet object."""

    day: date
    fingerprint: str
    error: float | None
    why_no_forecast: str
    notes: tuple[str, ...]
    episodes: tuple[Episode, ...]
    questions: tuple[Question, ...] = ()
    renamed: tuple[Renamed, ...] = ()
    why_whole: str = ""
    booked: tuple[Booked, ...] = ()
    parts: Mapping[str, tuple[MonthPart, ...]] = field(default_factory=dict)
    """By OU."""


METADATA = b"finops.scorecard"
RECORD = RecordType[_Record](_Record, "a scorecard")


def to_parquet(card: Scorecard) -> bytes:
    """The day's object; the same scorecard gives the same bytes. Its drivers are an object of their own."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    record = _Record(
        day=card.day,
        fingerprint=card.fingerprint,
        error=card.error,
        why_no_forecast=card.why_no_forecast,
        notes=card.notes,
        episodes=card.episodes,
        questions=card.questions,
        renamed=card.renamed,
        why_whole=card.why_whole,
        booked=card.booked,
        parts={score.ou: score.parts for score in card.scores if score.parts},
    )
    metadata = {METADATA: RECORD.encode(record)}
    table = pa.Table.from_pylist([_row(card, score) for score in card.scores], OU_SCORECARD)
    sink = pa.BufferOutputStream()
    pq.write_table(table.replace_schema_metadata(metadata), sink, compression="snappy")
    return sink.getvalue().to_pybytes()


def _row(card: Scorecard, score: Score) -> dict[str, Any]:
    anomaly = score.anomaly
    return {
        "billingdate": card.day,
        "ou": score.ou,
        "daycost": score.cost,
        "directcost": score.direct,
        "expectedlow": score.low,
        "expectedhigh": score.high,
        "monthtodate": score.month_to_date,
        "budget": score.budget,
        "forecastp10": score.p10,
        "forecastp50": score.p50,
        "forecastp90": score.p90,
        "budgetshare": score.share,
        "light": score.light,
        "lightreason": score.reason,
        "budgetpassed": score.passed,
        "anomalyscore": anomaly.score if anomaly else 0.0,
        "anomalykind": anomaly.kind if anomaly else None,
        "anomalyreason": anomaly.reason if anomaly else None,
        "episodeid": anomaly.id if anomaly else None,
        "episodestate": anomaly.state if anomaly else None,
        "settlement": score.settlement,
        "currency": card.currency,
        "costbasis": card.cost_basis,
    }


def read(archive: Archive, day: date) -> Scorecard | None:
    """The day's scorecard as it was made, without its drivers; None where there is none, or a damaged one was."""
    path = scorecard_path(day)
    return read_note(archive, path, lambda data: from_parquet(data, path), None)


def made_of(archive: Archive, day: date) -> str:
    """The fingerprint of the archived rows that the day's scorecard is made of; empty where none can be read."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    data = archive.get(scorecard_path(day))
    if data is None:
        return ""
    try:
        said = pq.read_schema(pa.BufferReader(data)).metadata or {}
        return str(json.loads(said[METADATA])["fingerprint"])
    except (pa.ArrowInvalid, OSError, KeyError, TypeError, ValueError):
        return ""


def from_parquet(data: bytes, where: str) -> Scorecard:
    """What `to_parquet` has written.

    Raises:
        DamagedError: it is damaged, or not ours.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    with parsing("a scorecard", where, pa.ArrowException, OSError):
        table = pq.ParquetFile(pa.BufferReader(data)).read()
        record = RECORD.decode((table.schema.metadata or {})[METADATA], where)
        episodes = {episode.id: episode for episode in record.episodes}
        rows = table.to_pylist()
        return Scorecard(
            day=record.day,
            currency=rows[0]["currency"],
            cost_basis=rows[0]["costbasis"],
            scores=tuple(_score(row, episodes, record.parts.get(row["ou"], ())) for row in rows),
            episodes=tuple(episodes.values()),
            error=record.error,
            why_no_forecast=record.why_no_forecast,
            notes=record.notes,
            fingerprint=record.fingerprint,
            questions=record.questions,
            renamed=record.renamed,
            why_whole=record.why_whole,
            booked=record.booked,
        )


def _score(row: Mapping[str, Any], episodes: Mapping[str, Episode], parts: tuple[MonthPart, ...]) -> Score:
    return Score(
        ou=row["ou"],
        cost=row["daycost"],
        direct=row["directcost"],
        low=row["expectedlow"],
        high=row["expectedhigh"],
        month_to_date=row["monthtodate"],
        budget=row["budget"],
        p10=row["forecastp10"],
        p50=row["forecastp50"],
        p90=row["forecastp90"],
        share=row["budgetshare"],
        light=row["light"],
        reason=row["lightreason"],
        passed=row["budgetpassed"],
        anomaly=episodes.get(row["episodeid"]),
        settlement=row["settlement"],
        parts=parts,
    )

"""What the dashboard page holds, from archived rows, and the page itself as text.

Only figures and their JSON are made here: nothing is read or written, and no clock is asked. How the page looks and
behaves is in templates/dashboard.html. Arrow, NumPy and Jinja load where they are used.
"""

from __future__ import annotations

import json
import re
from base64 import b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from hashlib import sha256
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from finops_assets.core.accounts.ous import ALL
from finops_assets.core.analytics.anomalies import Episode
from finops_assets.core.analytics.budgets import AMBER, GREEN, NONE, RED, SHAPES
from finops_assets.core.analytics.doubling import ANSWER_WORDS, question_words
from finops_assets.core.analytics.scorecard import Score, Scorecard
from finops_assets.core.archive.age import Age, missing_words
from finops_assets.core.archive.expected_days import missing_days
from finops_assets.core.calendar import full_day, short_day
from finops_assets.core.errors import ArchiveError
from finops_assets.core.money import CENT, change, money, percent
from finops_assets.core.schemas import UNASSIGNED, day_path, scorecard_path
from finops_assets.core.text import LONGEST_MESSAGE, distinct, distinct_paths, tidy

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

OTHER_ACCOUNTS = "(other accounts)"
"""The row into which the smallest accounts of an OU and service are folded when there are too many numbers."""

AVERAGE_DAYS = 30
_MICRO = 1_000_000
_PICO = 10**12


@dataclass(frozen=True)
class DayNote:
    """What the archive says of a day beside its rows.

    Args:
        scheduled: the part of the day's cost that is not usage of it (tax, fees, credits, refunds).
        settlement: how final the day is: `provisional`, `stable` or `closed`; empty if that is not known.
        total: the exact total of the day's rows, scheduled charges included.
    """

    scheduled: Decimal
    settlement: str
    total: Decimal


@dataclass(frozen=True)
class Restated:
    """A day that was written again with other costs.

    Args:
        day: the day.
        delta: what its total is more than when it was first archived, exact; 0 where cost only moved between rows.
        seen: when the last change was first seen (UTC).
    """

    day: date
    delta: Decimal
    seen: datetime


@dataclass(frozen=True)
class Outlook:
    """What the archive knows beside the days' rows: lights, budgets and forecasts, what was restated, what is odd.

    Args:
        newest: the newest scorecard of the page's days, best the newest day's.
        earlier: of each month before that of `newest`, the scorecard of its last archived day; the order does not
            matter. Budgets and lights of earlier months are taken from them, their costs from the rows.
        restated: the page's days that were restated, each once; see `restated_days`.
        episodes: the anomalies that have a day on the page, each once, in their newest state.
    """

    newest: Scorecard
    earlier: Sequence[Scorecard] = ()
    restated: Sequence[Restated] = ()
    episodes: Sequence[Episode] = ()


def restated_days(ledger: pa.Table) -> tuple[Restated, ...]:
    """The days of a ledger of restatements (schema RESTATEMENTS), in order."""
    found = ledger.group_by("billingdate").aggregate([("delta", "sum"), ("firstseen", "max")])
    columns = (found.column(name).to_pylist() for name in ("billingdate", "delta_sum", "firstseen_max"))
    return tuple(sorted((Restated(*row) for row in zip(*columns, strict=True)), key=lambda found: found.day))


def dashboard_data(
    rows: pa.Table,
    day_notes: Mapping[date, DayNote],
    names: Mapping[str, str],
    *,
    currency: str,
    cost_basis: str,
    generated_for: date,
    max_cells: int,
    outlook: Outlook | None = None,
    age: Age | None = None,
    made: datetime | None = None,
) -> dict[str, Any]:
    """Everything the page shows, as a dict of JSON types.

    Args:
        rows: billingdate, ou, service, linkedaccount and `cost` (decimal); further columns and the order do not matter.
        day_notes: every archived day of the page. Days between the first and the last without a note are missing,
            which is not the same as zero.
        names: account id -> account name, as far as known.
        currency, cost_basis: e.g. `USD` and `billed`; they are shown wherever a number is.
        generated_for: the day that the page speaks for; days between the newest archived one and it are missing.
        max_cells: how many numbers (rows of OU, service and account, times days) may be embedded. Above that the
            smallest accounts of the page become `(other accounts)` of their OU and service; no total changes. There is
            never less than one row per OU and service, so that a very small limit may be exceeded.
        outlook: what is known beside the rows. It takes at most half of `max_cells`: earlier months give way first,
            then the oldest episodes; what is left out is told. Each OU of the newest scorecard stays.
        age: how old the archive's data are, and how many days are missing: of the whole archive, not of the page alone.
        made: when the page is made (aware, UTC); with `age`, it is shown, and the page counts on from it.

    Returns:
        `days` are the archived days (ISO), `last` the last day of the calendar; `scheduled` and `settlement` are
        aligned with `days`. `ou`, `service` and `account` list names, `keys` are triples of positions in them, and
        `amounts` holds for each key a list aligned with `days`: integers of 1e-6 of the currency. Each is within 1e-6
        of the exact amount, and so is the sum of any neighbouring keys of a day. What an OU's amounts of a day lack to
        their exact sum is in `ou_rest`, in 1e-12. `tiles` are the headlines, as text; `missing` is
        the line of them that says how many days are missing. `outlook` is there if one was
        given: amounts as text, and as integers of 1e-6 where something is drawn.

    Raises:
        ArchiveError: there is no day; a row's day has no note; a day's rows do not sum to its note's total; a scorecard
            is in another currency or cost basis than the rows.
    """
    import pyarrow.compute as pc

    if not day_notes:
        raise ArchiveError("there is nothing to show", fix="Archive a day first: `finops run`.")
    days = sorted(day_notes)
    last = max(days[-1], generated_for)
    totals = _day_totals(rows, day_notes)
    day_codes = pc.index_in(rows.column("billingdate"), value_set=_dates(days)).to_numpy()
    found = [_coded(_names(rows.column(name))) for name in ("ou", "service", "linkedaccount")]
    ous, services, accounts = (names.to_pylist() for names, _ in found)
    units, picos = _split(rows.column("cost"))
    this_year = made.year if made else None
    told, cells = {}, 0
    if outlook:
        told, cells = _outlook(outlook, rows, totals, currency, cost_basis, max_cells // 2, this_year)
    missing = age.missing_words if age else missing_words(missing_days((), totals, days[0], last), last.year)
    shown = _shown_names(ous, services, accounts, outlook)
    keys, key_of_row = _keys(tuple(codes for _, codes in found), (len(ous), len(services), len(accounts)))
    keys, key_of_row, folded = _fold(
        keys, key_of_row, units + picos / _PICO, other=len(accounts), most_keys=(max_cells - cells) // len(days)
    )
    amounts, rest = _amounts(units, picos, key_of_row, day_codes, keys[:, 0], len(days))
    figures = {"keys": keys.tolist(), "amounts": amounts.tolist(), "ou_rest": rest.tolist(), "folded": folded}
    words = {
        "currency": currency,
        "cost_basis": cost_basis,
        "generated_for": generated_for.isoformat(),
        "tiles": _tiles(totals, day_notes, last, currency, cost_basis, missing, this_year),
        "missing": missing,
        "age": age.for_page(made) | {"sentence": age.sentence} if age and made else None,
        "days": [day.isoformat() for day in days],
        "last": last.isoformat(),
        "scheduled": [round(day_notes[day].scheduled * _MICRO) for day in days],
        "settlement": [day_notes[day].settlement for day in days],
        "unassigned": UNASSIGNED,
    }
    listed = {
        "ou": [shown["ou"][name] for name in ous],
        "service": [shown["service"][name] for name in services],
        "account": [shown["account"][name] for name in accounts] + [OTHER_ACCOUNTS] * bool(folded),
        "account_name": [tidy(names.get(account, "")) for account in accounts] + [""] * bool(folded),
    }
    return _harmless(words) | listed | figures | {name: _outlook_shown(each, shown) for name, each in told.items()}


def _shown_names(
    ous: Sequence[str], services: Sequence[str], accounts: Sequence[str], outlook: Outlook | None
) -> dict[str, dict[str, str]]:
    """How each OU, service and account is shown: harmless, and different ones still different."""
    episodes = outlook.episodes if outlook else ()
    known = [score.ou for score in outlook.newest.scores] if outlook else []
    return {
        "ou": distinct_paths([*ous, *known, *(episode.ou for episode in episodes)]),
        "service": distinct([*services, *(episode.service for episode in episodes)]),
        "account": distinct([*accounts, *(episode.account for episode in episodes)]),
    }


def _outlook_shown(outlook: Mapping[str, Any], shown: Mapping[str, Mapping[str, str]]) -> dict[str, Any]:
    """The page's `outlook` with harmless texts, and with names as they are shown elsewhere on the page."""
    harmless = _harmless(outlook)
    for entries in ("scores", "episodes"):
        for entry, raw in zip(harmless[entries], outlook[entries], strict=True):
            entry |= {kind: forms[raw[kind]] for kind, forms in shown.items() if kind in raw}
    return harmless


def _harmless(part: Any) -> Any:
    """The same with each of its texts in one line of harmless characters."""
    if isinstance(part, str):
        return tidy(part, LONGEST_MESSAGE)
    if isinstance(part, Mapping):
        return {name: _harmless(each) for name, each in part.items()}
    if isinstance(part, list | tuple):
        return [_harmless(each) for each in part]
    return part


def _dates(days: list[date]) -> pa.Array:
    import pyarrow as pa

    return pa.array(days, pa.date32())


def _day_totals(rows: pa.Table, day_notes: Mapping[date, DayNote]) -> dict[date, Decimal]:
    """Exact totals of the noted days, proved against what the archive says of them."""
    summed = rows.group_by("billingdate").aggregate([("cost", "sum")])
    found = dict(zip(summed.column("billingdate").to_pylist(), summed.column("cost_sum").to_pylist(), strict=True))
    totals = {day: found.pop(day, Decimal()) for day in sorted(day_notes)}
    if found:
        stray = min(found, key=str)
        raise ArchiveError(
            f"there are rows of {stray}, but nothing is known of that day", fix="This is a defect: report it."
        )
    for day, total in totals.items():
        if abs(total - day_notes[day].total) >= CENT / 2:
            raise ArchiveError(
                f"the rows sum to {money(total)}, the object says {money(day_notes[day].total)}",
                where=day_path(day),
                fix=f"Write the day again: `finops run --date {day}`.",
            )
    return totals


def _coded(column: pa.ChunkedArray) -> tuple[pa.Array, np.ndarray]:
    """The column's distinct values in order, and each row's position among them."""
    import numpy as np
    import pyarrow.compute as pc

    encoded = column.combine_chunks().dictionary_encode()
    order = pc.sort_indices(encoded.dictionary)
    place = np.empty(len(order), dtype=np.int64)
    place[order.to_numpy()] = np.arange(len(order))
    return encoded.dictionary.take(order), place[encoded.indices.to_numpy()]


def _names(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """A null is an empty name: what the bill does not name still costs."""
    import pyarrow as pa
    import pyarrow.compute as pc

    return pc.fill_null(column.cast(pa.string()), "")


def _split(cost: pa.ChunkedArray) -> tuple[np.ndarray, np.ndarray]:
    """Decimals as whole units and the 1e-12 parts beyond them, of the same sign: sums of these integers are exact."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    cost = cost.combine_chunks().cast(pa.decimal128(36, 12))  # two digits of room for the subtraction
    units = cost.cast(pa.int64(), safe=False)
    fraction = pc.subtract(cost, units.cast(pa.decimal128(19, 0))).cast(pa.decimal128(38, 12))
    # Less than 1e12 in size, so that the lower of its two 64-bit words is all of it.
    return units.to_numpy(), np.frombuffer(fraction.buffers()[1], dtype=np.int64)[::2][: len(fraction)]


def _keys(codes: tuple[np.ndarray, ...], sizes: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    """The triples of OU, service and account that occur, in order, and each row's position among them."""
    import numpy as np
    import pyarrow as pa

    shape = tuple(max(1, size) for size in sizes)
    ou, service, account = codes
    found, key_of_row = _coded(pa.chunked_array([(ou * shape[1] + service) * shape[2] + account]))
    return np.stack(np.unravel_index(found.to_numpy(), shape), axis=1), key_of_row


def _fold(
    keys: np.ndarray, key_of_row: np.ndarray, cost: np.ndarray, *, other: int, most_keys: int
) -> tuple[np.ndarray, np.ndarray, int]:
    """Put the smallest keys into `other` of their OU and service until at most `most_keys` are left.

    Returns:
        keys and each row's key after folding, and how many keys were folded.
    """
    import numpy as np

    if len(keys) <= most_keys:
        return keys, key_of_row, 0
    weight = np.bincount(key_of_row, weights=np.abs(cost), minlength=len(keys))
    order = np.argsort(weight, kind="stable")
    _, group = np.unique(keys[:, :2], axis=0, return_inverse=True)
    # Each folded key goes, and the first of its OU and service brings one row for the rest.
    first_of_group = np.zeros(len(keys), dtype=bool)
    first_of_group[np.unique(group[order], return_index=True)[1]] = True
    left = len(keys) - np.arange(1, len(keys) + 1) + np.cumsum(first_of_group)
    enough = left <= most_keys
    count = int(np.argmax(enough)) + 1 if enough.any() else len(keys)
    small = np.zeros(len(keys), dtype=bool)
    small[order[:count]] = True
    small &= np.bincount(group[small], minlength=group.max() + 1)[group] > 1  # one alone keeps its name
    folded = keys.copy()
    folded[small, 2] = other
    kept, position = np.unique(folded, axis=0, return_inverse=True)
    return kept, position[key_of_row], int(small.sum())


def _amounts(
    units: np.ndarray, picos: np.ndarray, key: np.ndarray, day: np.ndarray, ou_of_key: np.ndarray, days: int
) -> tuple[np.ndarray, np.ndarray]:
    """Micros by key and day, and what they lack by OU and day, in picos; `ou_of_key` ascends from 0 without a gap.

    What rounding leaves is carried down to the next key of the day: rounded by themselves, the thousand accounts of a
    service would be cents off in a year.
    """
    import numpy as np

    shape = (len(ou_of_key), days)
    whole, part = np.zeros(shape, dtype=np.int64), np.zeros(shape, dtype=np.int64)
    np.add.at(whole.reshape(-1), key * days + day, units)
    np.add.at(part.reshape(-1), key * days + day, picos)
    pico_per_micro = _PICO // _MICRO
    carried = (np.cumsum(part, axis=0) + pico_per_micro // 2) // pico_per_micro
    fraction = np.diff(carried, axis=0, prepend=0)
    rest = part - fraction * pico_per_micro
    first_of_ou = np.flatnonzero(np.diff(ou_of_key, prepend=-1))
    return whole * _MICRO + fraction, np.add.reduceat(rest, first_of_ou, axis=0) if len(rest) else rest


def _tiles(
    totals: Mapping[date, Decimal],
    day_notes: Mapping[date, DayNote],
    last: date,
    currency: str,
    cost_basis: str,
    missing: str,
    this_year: int | None,
) -> list[dict[str, Any]]:
    """The headlines: label, value, unit, and the sentences under them."""
    first, newest = min(totals), max(totals)
    unit = f"{currency}, {cost_basis}"
    note = day_notes[newest]
    of_newest = [
        _against(totals, newest, newest - timedelta(days=1), currency, this_year),
        _against(totals, newest, newest - timedelta(days=7), currency, this_year),
    ]
    if note.scheduled:
        of_newest.append(f"Includes {money(note.scheduled, currency)} of scheduled charges")
    if note.settlement == "provisional":
        of_newest.append("Provisional: may still change")
    month = [day for day in totals if (day.year, day.month) == (newest.year, newest.month)]
    recent = [day for day in totals if newest - timedelta(days=AVERAGE_DAYS) < day <= newest]
    average = sum((totals[day] for day in recent), Decimal()) / len(recent)
    through = [f"{_count(len(totals), 'day')} archived since {short_day(first)} {first.year}"]
    through.append(missing)
    if last > newest:
        through.append(f"{_count((last - newest).days, 'day')} behind {short_day(last)}")
    return [
        {
            "label": f"{short_day(newest)} {newest.year}",
            "value": money(totals[newest]),
            "unit": unit,
            "lines": of_newest,
        },
        {
            "label": "Month to date",
            "value": money(sum((totals[day] for day in month), Decimal())),
            "unit": unit,
            "lines": [_span(month, newest.replace(day=1), newest, this_year)],
        },
        {
            "label": f"Average per day, last {AVERAGE_DAYS} days",
            "value": money(average),
            "unit": unit,
            "lines": [_span(recent, newest - timedelta(days=AVERAGE_DAYS - 1), newest, this_year)],
        },
        {
            "label": "Data through",
            "value": f"{short_day(newest, weekday=False)} {newest.year}",
            "unit": "",
            "lines": through,
        },
    ]


def _against(totals: Mapping[date, Decimal], day: date, before: date, currency: str, this_year: int | None) -> str:
    words = short_day(before, this_year=this_year)
    if before not in totals:
        return f"No data for {words} to compare with"
    now, then = totals[day], totals[before]
    return f"{change(now - then, currency)} ({percent(now, then)}) vs {words}"


def _span(archived: list[date], start: date, end: date, this_year: int | None) -> str:
    """`1 Sep to 10 Sep, 10 days`, or how many of the days there are."""
    calendar = (end - start).days + 1
    count = _count(calendar, "day") if len(archived) == calendar else f"{len(archived)} of {_count(calendar, 'day')}"
    of_start = this_year if start.year != end.year else None  # else the year at the end stands for both
    first, last = (short_day(d, weekday=False, this_year=y) for d, y in ((start, of_start), (end, this_year)))
    return f"{first} to {last}, {count}"


_SEVERITY = (RED, AMBER, GREEN, NONE)
_SCORE_CELLS = 5
_MANY_TIMES = 100


def _outlook(
    outlook: Outlook,
    rows: pa.Table,
    totals: Mapping[date, Decimal],
    currency: str,
    cost_basis: str,
    most_cells: int,
    this_year: int | None,
) -> tuple[dict[str, Any], int]:
    """The page's `outlook`, and how many numbers it embeds."""
    newest, first = outlook.newest, min(totals)
    for card in (newest, *outlook.earlier):
        _check_card(card, currency, cost_basis)
    scores = sorted(newest.scores, key=_nested)
    restated = sorted((found for found in outlook.restated if found.day in totals), key=lambda found: found.day)
    months = _earlier_months(outlook, scores, first)
    episodes = sorted(outlook.episodes, key=lambda found: (-found.last.toordinal(), -abs(found.impact), found.id))

    cells = _SCORE_CELLS * len(scores) + 3 * len(restated)
    most_months = max(0, most_cells - cells - 3 * len(episodes)) // max(1, len(scores))
    fewer_months = len(months) - most_months
    months = months[-most_months:] if most_months else []
    cells += len(months) * len(scores)
    most_episodes = max(0, most_cells - cells) // 3
    left_out = len(episodes) - most_episodes
    episodes = episodes[:most_episodes]
    cells += 3 * len(episodes)

    notices = _notices(newest, rows, totals, this_year)
    if fewer_months > 0:
        notices.append(f"{_count(fewer_months, 'earlier month')} left out to keep this page small.")
    if left_out > 0:
        notices.append(f"{_count(left_out, 'older anomaly', 'older anomalies')} left out to keep this page small.")
    worst = sorted(range(len(scores)), key=lambda at: (_SEVERITY.index(scores[at].light), -(scores[at].share or 0), at))
    told = {
        "day": newest.day.isoformat(),
        "all": ALL,
        "shapes": dict(SHAPES),
        "questions": [[question_words(each, currency), ANSWER_WORDS, each.answer] for each in newest.questions],
        "notices": notices,
        "error": "" if newest.error is None else f"{newest.error:.1%}".replace("%", " %"),
        "why_no_forecast": newest.why_no_forecast,
        "scores": [_score(score) for score in scores],
        "worst": worst,
        "months": months,
        "restated": [_restated(found, totals[found.day]) for found in restated],
        "episodes": [_episode(episode) for episode in episodes],
    }
    return {"outlook": told}, cells


def _check_card(card: Scorecard, currency: str, cost_basis: str) -> None:
    if (card.currency, card.cost_basis) != (currency, cost_basis):
        raise ArchiveError(
            f"the scorecard is in {card.currency}, {card.cost_basis}, the days are in {currency}, {cost_basis}",
            where=scorecard_path(card.day),
            fix=f"Make it again with today's settings: `finops run --date {card.day}`.",
        )


def _nested(score: Score) -> tuple:
    """The whole, then level by level, so that parents stand above their children; what has no OU ends its level."""
    return (score.ou != ALL, score.ou.count("/"), score.ou == UNASSIGNED, score.ou.split("/"))


def _earlier_months(outlook: Outlook, scores: Sequence[Score], first: date) -> list[dict[str, Any]]:
    """Months before the newest scorecard's that the page holds from their 1st on, in order."""
    cards = {card.day.replace(day=1): card for card in sorted(outlook.earlier, key=lambda card: card.day)}
    found = []
    for month in sorted(month for month in cards if first <= month < outlook.newest.day.replace(day=1)):
        known = cards[month].by_ou
        of = [known.get(score.ou) for score in scores]
        found.append(
            {
                "first": month.isoformat(),
                "day": cards[month].day.isoformat(),
                "budgets": [None if score is None else _micros(score.budget) for score in of],
                "lights": [NONE if score is None else score.light for score in of],
            }
        )
    return found


def _notices(newest: Scorecard, rows: pa.Table, totals: Mapping[date, Decimal], this_year: int | None) -> list[str]:
    """What a reader has to know before trusting the lights: that they are not of the newest day, or of other costs."""
    last, month = max(totals), newest.day.replace(day=1)
    notices = list(newest.notes)
    if newest.day < last:
        notices.append(
            f"Lights and forecasts are as of {short_day(newest.day)} {newest.day.year}: "
            f"there is no scorecard of {short_day(last, this_year=this_year)} yet."
        )
    if min(totals) <= month:  # else the page does not hold the whole month
        sums = _month_sums(rows, month, newest.day)
        moved = [score.ou for score in newest.scores if abs(score.month_to_date - sums.get(score.ou, 0)) >= CENT / 2]
        if moved:
            notices.append(
                f"Costs have changed since the lights of {short_day(newest.day, this_year=this_year)} were made: "
                f"the month to date of {_count(len(moved), 'OU')} is not what the days below add up to. "
                "The next run mends it."
            )
    return notices


def _month_sums(rows: pa.Table, first: date, last: date) -> dict[str, Decimal]:
    """Exact cost of these days by OU, with what lies below it, and of the whole."""
    import pyarrow as pa
    import pyarrow.compute as pc

    day = rows.column("billingdate")
    inside = pc.and_(
        pc.greater_equal(day, pa.scalar(first, pa.date32())), pc.less_equal(day, pa.scalar(last, pa.date32()))
    )
    of = rows.select(["ou", "cost"]).filter(inside).group_by("ou").aggregate([("cost", "sum")])
    sums: dict[str, Decimal] = {ALL: Decimal()}
    for ou, cost in zip(of.column("ou").to_pylist(), of.column("cost_sum").to_pylist(), strict=True):
        parts = (ou or "").split("/")
        for name in (ALL, *("/".join(parts[: n + 1]) for n in range(len(parts)))):
            sums[name] = sums.get(name, Decimal()) + cost
    return sums


def _micros(amount: Decimal | None) -> int | None:
    return None if amount is None else round(amount * _MICRO)


def _text(amount: Decimal | None) -> str:
    return "" if amount is None else money(amount)


def _score(score: Score) -> dict[str, Any]:
    amounts = (score.month_to_date, score.budget, score.p10, score.p50, score.p90)
    return {
        "ou": score.ou,
        "light": score.light,
        "reason": score.reason,
        "share": _share(score.share),
        "passed": "" if score.passed is None else score.passed.isoformat(),
        "text": [_text(amount) for amount in amounts],
        "micros": [_micros(amount) for amount in amounts],
    }


def _share(share: float | None) -> str:
    if share is None:
        return ""
    return f"{share:.0%} of budget".replace("%", " %") if share < _MANY_TIMES else "over 100 times the budget"


def _restated(found: Restated, total: Decimal) -> dict[str, str]:
    return {
        "day": found.day.isoformat(),
        "old": money(total - found.delta),
        "new": money(total),
        "by": change(found.delta),
        "seen": found.seen.date().isoformat(),
    }


def _episode(episode: Episode) -> dict[str, str]:
    return {
        "id": episode.id,
        "ou": episode.ou,
        "service": episode.service,
        "account": episode.account,
        "kind": episode.kind,
        "state": episode.state,
        "first": episode.first.isoformat(),
        "last": episode.last.isoformat(),
        "expected": money(episode.expected),
        "actual": money(episode.actual),
        "impact": change(episode.impact),
        "reason": episode.reason,
        "planned": episode.planned,
    }


def _count(number: int, noun: str, plural: str = "") -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {plural or noun + 's'}"


def render(data: Mapping[str, Any]) -> str:
    """The whole page: no other file, no network, and a policy under which only its own script runs.

    Args:
        data: as dashboard_data makes it; `refresh`, if there, is printed at the page's foot.
    """
    import jinja2

    source = files("finops_assets").joinpath("templates", "dashboard.html").read_text(encoding="utf-8")
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True)
    environment.filters["unbroken"] = _unbroken
    return environment.from_string(source).render(
        data=data, json=_inline_json(data), policy=_policy(source), refresh=data.get("refresh", ""), made=_made(data)
    )


def _made(data: Mapping[str, Any]) -> str:
    """`30 Nov 2026, 08:00 UTC`; empty where the page does not say when it was made."""
    if not data["age"]:
        return ""
    made = datetime.fromisoformat(data["age"]["made"])
    return f"{full_day(made.date())}, {made:%H:%M} UTC"


def _unbroken(text: str) -> str:
    """The same words, with spaces inside `4.2 %`, `10 Sep` and `12.30 USD` at which no line ends."""
    return re.sub(r"(?<=\d) (?=%|[A-Z][A-Za-z]{2}\b)", "\N{NO-BREAK SPACE}", text)


def _inline_json(data: Mapping[str, Any]) -> str:
    """JSON that can end neither its script element nor a line: ASCII, and without `<`, `>` and `&`."""
    text = json.dumps(data, separators=(",", ":"), ensure_ascii=True, allow_nan=False)
    for character in "<>&":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text


def _policy(source: str) -> str:
    """A Content-Security-Policy that allows the template's own script and style by their hashes, and nothing else."""

    def allowed(element: str) -> str:
        blocks = re.findall(rf"<{element}>(.*?)</{element}>", source, re.DOTALL)
        return " ".join(f"'sha256-{b64encode(sha256(block.encode()).digest()).decode()}'" for block in blocks)

    return (
        f"default-src 'none'; script-src {allowed('script')}; style-src {allowed('style')}; img-src data:; "
        "base-uri 'none'; form-action 'none'; require-trusted-types-for 'script'; trusted-types 'none'"
    )

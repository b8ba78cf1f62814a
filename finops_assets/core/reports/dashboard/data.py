"""What the dashboard page holds, as a dict of JSON types: figures and texts, from archived rows.

Nothing is read or written, and no clock is asked.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from finops_assets.core.archive.age import missing_words
from finops_assets.core.archive.expected_days import missing_days
from finops_assets.core.bill.providers import cost_in_words
from finops_assets.core.calendar import short_day
from finops_assets.core.errors import ArchiveError
from finops_assets.core.money import CENT, money
from finops_assets.core.reports.dashboard.amounts import MICRO
from finops_assets.core.reports.dashboard.dimension_data import dimension_data
from finops_assets.core.reports.dashboard.figures import Figures, figures_of
from finops_assets.core.reports.dashboard.moved import moved_data
from finops_assets.core.reports.dashboard.outlook_data import outlook_data
from finops_assets.core.reports.dashboard.packing import pack
from finops_assets.core.reports.dashboard.tiles import tiles
from finops_assets.core.reports.dashboard.value_lights import value_lights
from finops_assets.core.schemas import UNASSIGNED, day_path
from finops_assets.core.text import LONGEST_MESSAGE, distinct, distinct_paths, tidy

if TYPE_CHECKING:
    from finops_assets.core.archive.cost_history import OuHistory
    from finops_assets.core.reports.dashboard.inputs import DashboardInputs, DayNote
    from finops_assets.core.reports.dashboard.outlook import Outlook

OTHER_ACCOUNTS = "(other accounts)"
"""The row into which the smallest accounts of an OU and service are folded when there are too many numbers."""

OTHER_SERVICES = "(other services)"
"""The row of an OU into which services are folded where `recent_figures` has to."""

PACKED_FROM = 150_000
"""Numbers from which on they are packed: 150,000 as they are take 1.3 MB."""


def dashboard_data(inputs: DashboardInputs) -> dict[str, Any]:
    """Everything the page shows.

    Returns:
        `days` are the archived days (ISO), `last` the last day of the calendar; `scheduled` and `settlement` are
        aligned with `days`. `ou`, `service` and `account` list names, `keys` are triples of positions in them, and
        `amounts` holds for each key a list aligned with `days`: integers of 1e-6 of the currency. Each is within 1e-6
        of the exact amount, and so is the sum of any neighbouring keys of a day. What an OU's amounts of a day lack to
        their exact sum is in `ou_rest`, in 1e-12. `tiles` are the headlines, as text; `missing` is the line of them
        that says how many days are missing. `shortened`, where not empty, says that services and accounts are of the
        last days alone. `outlook` exists if one was given: amounts as text, and as integers of 1e-6 where something is
        drawn. `value_lights` are the rows of values with a budget, as text; `moved` is what moved on the newest day.

    Raises:
        ArchiveError: there is no day; a row's day has no note; a day's rows do not sum to its note's total; a scorecard
            is in another currency or cost basis than the rows.
    """
    if not inputs.day_notes:
        raise ArchiveError("there is nothing to show", fix="Archive a day first: `finops run`.")
    outlook, age, made_at = inputs.outlook, inputs.age, inputs.made_at
    days = sorted(inputs.day_notes)
    last = max(days[-1], inputs.generated_for)
    totals = _day_totals(inputs.costs, inputs.day_notes)
    embedded: dict[str, Any] = {}
    cells = 0
    if outlook:
        embedded, cells = outlook_data(inputs, outlook, totals, inputs.max_cells // 2)
    missing = age.missing_words if age else missing_words(missing_days((), totals, days[0], last), last.year)
    figures = figures_of(inputs.costs, days, inputs.max_cells - cells)
    ous, services, accounts = figures.names
    moved = moved_data(inputs)
    shown = _shown_names(ous, services, accounts, outlook, moved["rows"])
    words = {
        "currency": inputs.currency,
        "cost_basis": inputs.cost_basis,
        "cost_words": cost_in_words(name for note in inputs.day_notes.values() for name in note.providers),
        "generated_for": inputs.generated_for.isoformat(),
        "tiles": tiles(inputs, totals, last, missing),
        "missing": missing,
        "age": age.for_page(made_at) | {"sentence": age.sentence} if age and made_at else None,
        "days": [day.isoformat() for day in days],
        "last": last.isoformat(),
        "scheduled": [round(inputs.day_notes[day].scheduled * MICRO) for day in days],
        "settlement": [inputs.day_notes[day].settlement for day in days],
        "unassigned": UNASSIGNED,
        **({"rates": inputs.rates} if inputs.rates else {}),
        "shortened": _shortened(days[-figures.since], inputs.this_year) if figures.since else "",
    }
    others = bool(figures.folded or figures.since)  # an OU's row of its early days is of no account, either
    listed = {
        "ou": [shown["ou"][name] for name in ous],
        "service": [shown["service"][name] for name in services] + [OTHER_SERVICES] * bool(figures.since),
        "account": [shown["account"][name] for name in accounts] + [OTHER_ACCOUNTS] * others,
        "account_name": [tidy(inputs.names.get(account, "")) for account in accounts] + [""] * others,
    }
    return (
        _harmless(words)
        | listed
        | _embedded(figures)
        | {"dimensions": dimension_data(inputs.dimensions, days, ous, inputs.max_cells // 4)}
        | {"value_lights": value_lights(inputs), "moved": _with_shown_names(moved, shown, ("rows",))}
        | {"front": _harmless(inputs.front.as_json()) if inputs.front else None}
        | ({"outlook": _outlook_shown(embedded, shown)} if embedded else {})
    )


def _embedded(figures: Figures) -> dict[str, Any]:
    """The page's numbers in JSON types: as lists, or packed where they are many."""
    keys, rows, rest = figures.keys.tolist(), figures.amounts, figures.ou_rest
    known = {"keys": keys, "folded": figures.folded}
    if sum(map(len, rows)) < PACKED_FROM:
        return known | {"amounts": [row.tolist() for row in rows], "ou_rest": rest.tolist()}
    packed = {"lengths": [len(row) for row in rows], "amounts": pack(rows), "ou_rest": pack(list(rest))}
    return known | {"packed": packed}


def _shortened(first: date, this_year: int | None) -> str:
    day = short_day(first, weekday=False, this_year=this_year)
    return f"Before {day}, OUs are shown without their services and accounts to keep this page small."


def _shown_names(
    ous: Sequence[str],
    services: Sequence[str],
    accounts: Sequence[str],
    outlook: Outlook | None,
    moves: Sequence[Mapping[str, Any]],
) -> dict[str, dict[str, str]]:
    """How each OU, service and account is shown: harmless, and different ones still different."""
    episodes = outlook.episodes if outlook else ()
    known = [score.ou for score in outlook.newest.scores] if outlook else []
    return {
        "ou": distinct_paths([*ous, *known, *(episode.ou for episode in episodes), *(m["ou"] for m in moves)]),
        "service": distinct([*services, *(episode.service for episode in episodes), *(m["service"] for m in moves)]),
        "account": distinct([*accounts, *(episode.account for episode in episodes), *(m["account"] for m in moves)]),
    }


def _outlook_shown(outlook: Mapping[str, Any], shown: Mapping[str, Mapping[str, str]]) -> dict[str, Any]:
    """The page's `outlook` with harmless texts, and with names as they are shown elsewhere on the page."""
    return _with_shown_names(outlook, shown, ("scores", "episodes"))


def _with_shown_names(
    part: Mapping[str, Any], shown: Mapping[str, Mapping[str, str]], lists: Sequence[str]
) -> dict[str, Any]:
    """The same with harmless texts, and with the names of the entries of these lists as they are shown."""
    harmless = _harmless(part)
    for entries in lists:
        for entry, raw in zip(harmless[entries], part[entries], strict=True):
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


def _day_totals(costs: OuHistory, day_notes: Mapping[date, DayNote]) -> dict[date, Decimal]:
    """Exact totals of the noted days, proved against what the archive says of them."""
    by_day = costs.totals()
    totals = {day: by_day.pop(day, Decimal()) for day in sorted(day_notes)}
    if by_day:
        stray = min(by_day, key=str)
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

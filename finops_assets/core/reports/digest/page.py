"""The digest rendered: what its templates show, as HTML and as plain text."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Mapping, Sequence
from decimal import Decimal
from functools import cache
from typing import TYPE_CHECKING, Any

from finops_assets.core.analytics.budgets import NONE
from finops_assets.core.analytics.doubling import ANSWER_WORDS, question_words
from finops_assets.core.archive.provenance import shares_in_words
from finops_assets.core.bill.providers import cost_in_words, providers_in_words
from finops_assets.core.calendar import short_day
from finops_assets.core.money import CENT, change, money, plain
from finops_assets.core.reports.charts.daily_cost import series_colours
from finops_assets.core.reports.charts.style import REST_COLOUR
from finops_assets.core.reports.digest.csv_file import bills_csv, breakdown_csv
from finops_assets.core.reports.digest.edition import ou_hash
from finops_assets.core.reports.digest.figures import (
    Against,
    Digest,
    DigestFigures,
    Line,
    Ranking,
)
from finops_assets.core.reports.digest.front_page import front_page
from finops_assets.core.reports.digest.pictures import PICTURES, content_id
from finops_assets.core.reports.digest.scores import card_view, score_light
from finops_assets.core.reports.digest.sentences import headline, late_words, only_words, scheduled_note, subject
from finops_assets.core.reports.digest.tagged import tagged_words
from finops_assets.core.reports.digest.text_table import columns
from finops_assets.core.reports.digest.value_rows import value_view
from finops_assets.core.reports.digest.words import (
    LOUD,
    basis_words,
    days_words,
    percent_words,
    scheduled_lines,
    settlement_words,
    stretch_words,
)
from finops_assets.core.text import columns_wide, tidy

if TYPE_CHECKING:
    from finops_assets.core.archive.restatements import Restatement

LINE = 77
"""Characters of a line of plain text."""

UNASSIGNED_SHOWN, NOTES_SHOWN, RESTATED_SHOWN = 10, 2, 8


def render(
    figures: DigestFigures,
    pictures: Mapping[str, bytes] | None = None,
    *,
    revision: int = 1,
    prefix: str = "[FinOps]",
    dashboard: str = "",
    state: str = "",
    coverage: str = "",
) -> Digest:
    """The figures as a mail's parts; without pictures the mail is complete, too.

    Args:
        figures: of the whole bill or of an edition.
        pictures: the images of PICTURES, by name.
        revision: 1 for the first digest of the day.
        prefix: first words of the subject.
        dashboard: a sentence about a dashboard that is not current (`dashboard_words`); empty where it is.
        state: whether all archived days are whole, in a line; empty where that was not inspected.
        coverage: where every line of the bill is; empty in an edition, which says nothing of the whole bill.
    """
    converted = f"_{figures.currency}" if figures.rates else ""  # its numbers are not those of the archive
    revised = f"_r{revision}" if revision > 1 else ""
    csv_name = f"ou_breakdown_{figures.day}{converted}{revised}{_slug(figures.ou)}.csv"
    day = figures.late.day if figures.late else figures.day
    words = {name: PICTURES[name].words(figures) for name, png in (pictures or {}).items() if png}
    view = _view(figures, csv_name, revision, dashboard) | {
        "state": tidy(state, 600),
        "coverage": tidy(coverage, 1500),
        "pictures": {name: (content_id(name, day, revision, figures.ou), text) for name, text in words.items() if text},
    }
    environment = _environment()
    title = subject(figures, revision=revision, prefix=prefix)
    return Digest(
        day=day,
        subject=title,
        html=environment.get_template("digest.html.j2").render(view, subject=title).strip() + "\n",
        text=_wrapped(environment.get_template("digest.txt.j2").render(view)),
        csv=breakdown_csv(figures.rows, figures.names),
        csv_name=csv_name,
        revision=revision,
        total=figures.total,
        currency=figures.currency,
        pictures={name: png for name, png in (pictures or {}).items() if words.get(name)},
        ou=figures.ou,
        bills_csv=bills_csv(figures) if figures.facts.bills else b"",
    )


def _wrapped(text: str) -> str:
    """The text in lines under 78 characters, as mail programs want them; an address stays in one piece."""
    lines = []
    for line in re.sub(r"\n{3,}", "\n\n", text).strip().splitlines():
        indent = " " * (len(line) - len(line.lstrip()) + 2)
        whole = columns_wide(line) <= LINE or (re.search(r"\S{60,}", line) and "://" in line)
        lines += [line] if whole else textwrap.wrap(line, LINE, subsequent_indent=indent, break_on_hyphens=False)
    return "\n".join(lines) + "\n"


def _slug(ou: str) -> str:
    """The end of a file name, for an edition's; whatever the path holds, plain letters."""
    name = re.sub(r"[^A-Za-z0-9]+", "-", ou).strip("-")[-48:].strip("-")
    return f"_{name or ou_hash(ou)}" if ou else ""


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


def _view(figures: DigestFigures, csv_name: str, revision: int, dashboard: str) -> dict[str, Any]:
    """What the templates show, every number already in words, every name already one line."""

    currency, facts, against = tidy(figures.currency), figures.facts, figures.movers_against
    basis = basis_words(figures.cost_basis)
    days_compared = (figures.last_week, figures.day_before)
    colours = series_colours(figures.costs)
    through = figures.data_through
    front = front_page(figures)
    notes = [tidy(note, 600) for note in (*filter(None, [dashboard]), *figures.notes)]
    restated = [_restated_row(figures, restated) for restated in figures.restated]
    return {
        "day": f"{short_day(figures.day)} {figures.day.year}",
        "day_short": figures.short_day(figures.day),
        "revision": revision,
        "total": money(figures.total),
        "currency": currency,
        "basis": basis,
        "unit": f"{currency}, {basis}",
        "rates": tidy(figures.rates, 1500),
        "settlement": facts.settlement,
        "settlement_words": settlement_words(facts),
        "cost_words": tidy(cost_in_words(facts.providers), 120),
        "providers": tidy(providers_in_words(facts.providers), 120),
        "bills": [tidy(words, 300) for words in shares_in_words(facts.bills, currency)],
        "by_value": figures.by_value,
        "only": only_words(figures.ou) if figures.ou else "",
        "front": front,
        "headline": headline(figures),
        "late": late_words(figures),
        "age": "" if figures.late else figures.age_sentence,
        "questions": _questions_view(figures),
        "notes": notes[:NOTES_SHOWN],
        "long_notes": [note for note in notes[:NOTES_SHOWN] if len(note) > 150],
        "more_notes": notes[NOTES_SHOWN:],
        "restated": restated[:RESTATED_SHOWN],
        "more_restated": restated[RESTATED_SHOWN:],
        "covered": _covered_words(figures),
        "cards": [*(_day_card(figures, a) for a in days_compared), _month_card(figures)],
        "compared": [(figures.short_day(a.day), a.words) for a in _days_with_rows(figures)],
        "no_data": " and ".join(figures.short_day(a.day) for a in days_compared if not a.has_rows),
        "ous": _table(figures, figures.ous, colours),
        "services": _table(figures, figures.services, {}),
        "all": _row(figures, Line("All", figures.total, figures.last_week.total, figures.day_before.total), ""),
        "movers_against": f"{figures.short_day(against.day)}, {against.words}" if against else "",
        **card_view(figures),
        **value_view(figures),
        "own_cost": _own_cost_words(figures),
        "left_open": [tidy(sentence, 300) for sentence in figures.left_open],
        "scheduled_note": scheduled_note(figures),
        "scheduled": [(words, money(cost)) for words, cost in scheduled_lines(facts)],
        "scheduled_total": money(facts.scheduled),
        **_unassigned_view(figures),
        "data_through": f"{short_day(through)} {through.year}",
        "left_out": [tidy(sentence, 300) for sentence in facts.left_out],
        "tagged": [tagged_words(share, currency) for share in figures.tagged],
        "commitments": tidy(figures.commitments, 400),
        "archive_path": tidy(figures.archive_path, 500),
        "delivery": tidy(facts.delivery, 300),
        "links": [
            (tidy(label), tidy(url, 2000), url.startswith(("https://", "http://")))
            for label, url in figures.links.items()
        ],
        "csv_name": csv_name,
        "csv_rows": f"{figures.rows.num_rows:,}",
        "csv_sum": plain(sum(figures.rows["cost"].to_pylist(), Decimal())),
    }


def _questions_view(figures: DigestFigures) -> list[tuple[str, str, str]]:
    """Each question, what to do about it, and the line that answers it; editions give no amount of the whole away."""
    asked = figures.card.questions if figures.card else ()
    currency = tidy(figures.currency)
    return [(question_words(each, currency, amounts=not figures.ou), ANSWER_WORDS, each.answer) for each in asked]


def _days_with_rows(figures: DigestFigures) -> list[Against]:
    return [a for a in (figures.last_week, figures.day_before) if a.has_rows]


def _covered_words(figures: DigestFigures) -> str:
    covered = figures.covered
    if covered is None:
        return ""
    earlier = "1 earlier day" if covered.days == 1 else f"{covered.days} earlier days"
    words = f"This mail also covers {earlier}, {stretch_words(covered.first, covered.last, 0)}"
    if covered.total is not None:
        words += f": {money(covered.total, tidy(figures.currency))} ({basis_words(figures.cost_basis)}) in total"
    return f"{words}. No other mail is sent for them."


def _own_cost_words(figures: DigestFigures) -> str:
    own = figures.own_cost
    if own is None:
        return ""
    lines = "; ".join(f"{tidy(words)}: {_small(usd)}" for words, usd in own.lines)
    how = f" ({tidy(own.how, 300)})" if own.how else ""
    return f"{_small(own.total)} USD on {figures.short_day(own.day)}{f': {lines}' if lines else ''}{how}"


def _small(usd: Decimal) -> str:
    """An amount that may be parts of a cent."""
    return money(usd) if usd >= 1 or not usd else f"{usd:.4f}" if usd >= Decimal("0.0001") else "<0.0001"


def _restated_row(figures: DigestFigures, restated: Restatement) -> dict[str, str]:
    moved = _change(restated.new, restated.old)
    return {**moved, "day": figures.short_day(restated.day), "old": money(restated.old), "new": money(restated.new)}


def _change(now: Decimal, before: Decimal) -> dict[str, str]:
    """A change in words, with its direction as a sign, an arrow and a tone."""
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
    label = f"{figures.short_day(against.day)}, {against.words}"
    if against.total is None:
        return _card(label, "no data", [f"for {figures.short_day(against.day)}"])
    moved = _change(figures.total, against.total)
    details = [f"{moved['amount']} on {money(against.total)}"]
    if against.facts and (figures.facts.scheduled or against.facts.scheduled):
        details.append(f"usage alone {percent_words(figures.facts.usage, against.facts.usage)}")
    return _card(label, moved["percent"], details, moved["arrow"], moved["tone"])


def _month_card(figures: DigestFigures) -> dict[str, Any]:
    month, score = figures.month, figures.score
    details = [f"without {days_words(month.missing, figures.this_year)}: no data"] if month.missing else []
    if score and score.budget is not None:
        of = "" if score.budget <= 0 else f"{month.total / score.budget * 100:.0f} % "
        details.append(f"{of}of budget {money(score.budget)}")
    if score and score.p50 is not None:
        details.append(f"{money(score.p50)} expected")
    if month.before is not None:
        same_days = stretch_words(
            month.before_first, month.before_first + (month.last - month.first), figures.this_year
        )
        details.append(f"{percent_words(month.total, month.before)} vs {same_days} ({money(month.before)})")
    label = f"Month to date, {stretch_words(month.first, month.last, figures.this_year)}"
    light = score_light(score) if score and score.light != NONE else None
    return _card(label, money(month.total), details) | {"light": light}


def _card(label: str, big: str, details: Sequence[str], arrow: str = "", tone: str = "flat") -> dict[str, Any]:
    return {"label": label, "big": big, "arrow": arrow, "tone": tone, "details": list(details), "light": None}


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
        "changes": [
            None if (before := befores[a.day]) is None else _change(line.cost, before) for a in _days_with_rows(figures)
        ],
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

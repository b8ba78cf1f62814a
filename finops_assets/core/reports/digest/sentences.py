"""The digest's sentences: headline, subject, and those on scheduled charges, late bills and the dashboard."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from decimal import Decimal

from finops_assets.core.analytics.budgets import NONE
from finops_assets.core.calendar import full_day, short_day
from finops_assets.core.money import CENT, change, money
from finops_assets.core.reports.digest.figures import DayFacts, DigestFigures, Mover
from finops_assets.core.reports.digest.words import days_words, light_words, percent_words, scheduled_lines
from finops_assets.core.text import tidy


def _compared(figures: DigestFigures, now: Decimal, before: Decimal, day: date) -> str:
    """`+4.2 % vs Wed 3 Sep`, or the amount where a percentage would lie."""
    words = percent_words(now, before)
    return f"{change(now - before) if words in ('n/a', 'new') else words} vs {figures.short_day(day)}"


def headline(figures: DigestFigures) -> str:
    """One plain sentence of what matters beside the total: how it compares, and what explains that."""
    facts, against, currency = figures.facts, figures.against, tidy(figures.currency)
    if against is None or against.total is None:
        none = " or ".join(figures.short_day(a.day) for a in (figures.last_week, figures.day_before))
        return f"There is no data for {none} to compare {figures.short_day(figures.day)} with."
    before, facts_before = against.total, against.facts
    delta = figures.total - before
    other = figures.short_day(against.day)
    enough = max(LEVEL * abs(before), abs(delta) / 2, CENT)
    if facts_before and abs(facts.scheduled - facts_before.scheduled) > enough:
        usage = _usage_words(figures, against.day, facts_before)
        if facts.scheduled:
            what = ", ".join(f"{words} {money(cost)}" for words, cost in scheduled_lines(facts))
            return f"{money(facts.scheduled, currency)} of the total are scheduled charges ({what}); {usage}."
        carried = money(facts_before.scheduled, currency)
        return f"{change(delta, currency)} vs {other}, which carried {carried} of scheduled charges; {usage}."
    if before > 0 and abs(delta) < LEVEL * before:
        sentence = f"Level with {other} ({percent_words(figures.total, before)})"
        moves = sorted((*figures.causes_up[:1], *figures.causes_down[:1]), key=lambda m: -abs(m.delta))
        if moves and abs(moves[0].delta) >= LEVEL * before:
            sentence += f"; the largest single move is {_cause_words(figures, moves[0])}"
        return sentence + "."
    if not delta:
        return f"Unchanged: {money(figures.total, currency)}, as on {other}."
    sentence = f"{change(delta, currency)} vs {other}"
    if before > 0:
        moved = percent_words(figures.total, before).lstrip("+-")
        sentence = f"{'Up' if delta > 0 else 'Down'} {moved} vs {other} ({change(delta, currency)})"
    causes = figures.causes_up if delta > 0 else figures.causes_down
    if causes and figures.movers_against == against and abs(causes[0].delta) >= abs(delta) / 4:
        part = "mainly" if abs(causes[0].delta) >= abs(delta) / 2 else "the largest part"
        sentence += f", {part} {_cause_words(figures, causes[0])}"
    if delta < 0 and facts.settlement == "provisional":
        sentence += "; the day is provisional and may still rise"
    return sentence + "."


def _usage_words(figures: DigestFigures, day: date, facts: DayFacts) -> str:
    """What usage alone costs, compared with the day that has these facts."""
    usage = figures.facts.usage
    return f"usage alone is {money(usage, tidy(figures.currency))}, {_compared(figures, usage, facts.usage, day)}"


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
    before = [(against.day, against.facts)] if against and against.facts else []
    carried = [
        f"{figures.short_day(d)} carries {money(f.scheduled, tidy(figures.currency))} of scheduled charges"
        for d, f in [(figures.day, figures.facts), *before]
        if scheduled_lines(f)
    ]
    if not carried:
        return ""
    note = f"{', and '.join(carried)} (tax, fees, credits, refunds), booked on one day: what they move is not usage."
    for day, facts in before:
        words = _usage_words(figures, day, facts)
        note += f" {words[0].upper()}{words[1:]}."
    return note


def late_words(figures: DigestFigures) -> str:
    """That the day's bill is late, how old the data are, and what is shown instead; empty where it is not late."""
    late = figures.late
    if late is None:
        return ""
    through, day = f"{short_day(figures.day)} {figures.day.year}", f"{short_day(late.day)} {late.day.year}"
    since = f", the export is {late.by}" if late.by else ""
    of = f" of the bill {tidy(late.bill)}" if late.bill else ""
    written = f", the newest export{of} was written {late.written:%Y-%m-%d %H:%M} UTC" if late.written else ""
    age = f" {figures.age_sentence}" if figures.age_sentence else ""
    return (
        f"The bill of {day} has not arrived{since}{written}.{age} Everything below is of {through}, none of it of "
        f"{day}. The day's own digest follows when its bill is there."
    )


def subject(figures: DigestFigures, *, revision: int = 1, prefix: str = "[FinOps]") -> str:
    """`[FinOps] 10 Sep 2025: 3,412.77 USD (+4.2 % vs Wed 3 Sep), ■ red, provisional`."""

    against, late, age = figures.against, figures.late, figures.age
    only = f", {only_words(figures.ou)}" if figures.ou else ""
    if late:
        text = f"{tidy(prefix)} {full_day(late.day)}{only}".strip()
        return f"{text}: no bill yet{f', {late.by}' if late.by else ''}; data through {full_day(figures.day)}"
    text = f"{tidy(prefix)} {full_day(figures.day)}{only}".strip()
    text += f", revision {revision}" if revision > 1 else ""
    old = age if age and age.overdue else None
    text += f", {old.words}" if old and old.through == figures.day else ""
    text += f": {money(figures.total, tidy(figures.currency))}"
    if against and against.total is not None:
        text += f" ({_compared(figures, figures.total, against.total, against.day)})"
    light = subject_light(figures)
    text += f", {light}" if light else ""
    text += ", provisional" if figures.facts.settlement == "provisional" else ""
    return text + (f"; {old.short}" if old and old.through != figures.day else "")


UNKNOWN_DASHBOARD = "It is not known whether the dashboard is current. This mail does not depend on it."


def dashboard_words(shown: date | None, changed: Sequence[date], this_year: int | None = None) -> str:
    """That the dashboard does not show what is archived, whatever the reason.

    Args:
        shown: the newest day that the dashboard shows; None where it shows nothing.
        changed: days that were archived since its last refresh, ascending; without any, the dashboard is current.
        this_year: the reader's.
    """
    if shown is None:
        state = "There is no dashboard: its refresh has not succeeded yet."
    elif not changed:
        return ""
    elif changed[-1] > shown:
        of, missing = f"{short_day(shown)} {shown.year}", days_words([day for day in changed if day > shown], this_year)
        state = f"The dashboard is of {of}: its refresh with {missing} has not succeeded yet."
    else:
        state = f"The dashboard shows {days_words(changed, this_year)} as before: its refresh has not succeeded yet."
    return f"{state} This mail does not depend on it."


def only_words(ou: str) -> str:
    """`Workloads/Prod only`; of a long path the end, as it says most."""
    name = tidy(ou, 500)
    return f"{name if len(name) <= 60 else '…' + name[-59:]} only"


LEVEL = Decimal("0.02")
"""A change under 2 % is called level: it is within what the newest day still moves by."""


def subject_light(figures: DigestFigures) -> str:
    """The light of the whole, or of the edition's OU, for the subject; empty without a budget."""
    score = figures.score
    return "" if score is None or score.light == NONE else light_words(score)

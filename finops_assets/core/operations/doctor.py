"""What `finops doctor` finds: one finding a check, and the walk of one day through the chain, by the roles alone.

Nothing is mended or refreshed here, only inspected. What a platform needs around it, its Preflight checks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import date
from typing import TYPE_CHECKING, Protocol

from finops_assets.core.addresses import mail_address
from finops_assets.core.archive import bill_difference, causes
from finops_assets.core.archive.day_currencies import amounts_in_words, is_mixed
from finops_assets.core.bill.layout import BROKEN, UNREAD
from finops_assets.core.findings import Finding, findings_of
from finops_assets.core.money import money

if TYPE_CHECKING:
    from finops_assets.core.archive.age import Age
    from finops_assets.core.archive.states import DayState, Facts
    from finops_assets.core.delivery.outbox import Outbox
    from finops_assets.core.operations.inspection import Inspection
    from finops_assets.core.values import DashboardContent, PassedOver, PublishedDay, Refused


class Preflight(Protocol):
    """Checks what a platform needs, and changes nothing but a probe object of its own."""

    def check(self) -> Iterator[Finding]:
        """Everything that the settings use, each tried; findings come as they are made."""

    def shown(self) -> DashboardContent | None:
        """What the dashboard shows; None before its first refresh."""


def addresses(sender: str, recipients: Sequence[str]) -> Iterator[Finding]:
    """From whom and to whom a digest goes; that these are addresses, and some, was checked when they were read."""
    yield Finding("addresses", "ok", f"from {sender} to {', '.join(recipients)}")


def files_passed_over(passed_over: Sequence[PassedOver]) -> Iterator[Finding]:
    """One finding of all files beside the bill that are not read; none where there are none."""
    if not passed_over:
        return
    kinds = "; ".join(
        f"{of.files} file(s), {of.size_bytes / 1_000_000:,.1f} MB: {of.reason}, such as {of.example}"
        for of in passed_over
    )
    may_be_missed = any(of.reason in (UNREAD, BROKEN) for of in passed_over)
    yield Finding(
        "files passed over",
        "warn" if may_be_missed else "ok",
        f"beside the bill, not read: {kinds}",
        "Unpack or convert what is part of the bill, mend links that lead nowhere, and move the rest elsewhere."
        if may_be_missed
        else "",
    )


def days_in_several_files(warnings: Sequence[str]) -> Iterator[Finding]:
    """One finding of files that share days and may count twice, as BillDescription has them; none where none do."""
    if warnings:
        yield Finding(
            "days in several files",
            "warn",
            "; ".join(warnings),
            "If these are the same charges, keep one of the files; if the days are split over them, all is well.",
        )


def how_old(age: Age | None) -> Iterator[Finding]:
    """Whether the archive has the days up to yesterday, as far as they are due; nothing where it has none."""
    if age is None:
        return
    if age.sentence:
        yield Finding(
            "age",
            "warn",
            age.sentence,
            "See why there is no newer export, or point the settings at one; then run `finops backfill`.",
        )
    else:
        yield Finding("age", "ok", f"data through {age.through}")


def bare(entries: Iterable[str], setting: str) -> list[str]:
    """The addresses without their names."""
    return [mail_address(one, setting).addr_spec for one in entries]


def undelivered(name: str, refused: Iterable[tuple[str, Refused]], otherwise: str) -> Iterator[Finding]:
    """A finding for each recipient that does not get their mail; `otherwise` is said where there is none."""
    all_well = True
    for recipient, why in refused:
        all_well = False
        since = f" since {why.since:%Y-%m-%d}" if why.since else ""
        yield Finding(name, "fail", f"{recipient}{since}: {why.reason}", why.fix)
    if all_well:
        yield Finding(name, "ok", otherwise)


def walk(
    day: date, inspection: Inspection, *, outbox: Outbox, recipients: Sequence[str], settled: Callable[[date], str]
) -> Iterator[Finding]:
    """One day, link by link: bill, archive, catalog, what a reader gets, scorecard, dashboard, mail.

    The first link that does not hold fails in the words of the day's state (core.archive.states); those behind it are
    skipped, but for the mail.

    Args:
        day: one of the inspection's days.
        inspection: a thorough one.
        outbox: who was mailed.
        recipients: mail.recipients.
        settled: tells how final the day is.
    """
    state, facts = inspection.states[day], inspection.facts
    yield _of_the_bill(state, facts)
    for link in (causes.ARCHIVE, causes.CATALOG, causes.READ_BACK, causes.SCORECARD, causes.DASHBOARD):
        if link in inspection.unknown:
            yield Finding(link, "fail", f"it cannot be inspected: {inspection.unknown[link]}")
        elif link == causes.DASHBOARD and facts.behind and state.reaches(causes.SCORECARD):
            fix = _imperative(causes.mend(causes.OUTDATED, day, facts.newest))
            yield Finding(link, "fail", f"{facts.newest}: {causes.OUTDATED}: {facts.behind}", fix)
        elif state.reaches(link):
            yield Finding(link, "ok", _detail(link, state, facts, settled))
        elif state.link == link:
            yield Finding(link, "fail", f"{day}: {state.cause}: {state.detail}", _imperative(state.mend))
        else:
            yield Finding(link, "skip", f"{day} stops before it: {state.cause}")
    as_shown = facts.as_shown(state.archived) if state.archived else None
    yield from findings_of("mail", _mailed(outbox, day, as_shown, recipients))


def covered(inspection: Inspection) -> Iterator[Finding]:
    """Whether every line of the bill is in an archived day, or there is a reason why it is in none."""
    coverage = inspection.coverage
    if coverage is None:
        yield Finding("every line", "skip", inspection.coverage_words)
    else:
        fix = "`finops doctor --repair` says what would mend it." if coverage.fault else ""
        yield Finding("every line", "warn" if coverage.fault else "ok", coverage.words, fix)


def _again(day: date) -> str:
    return f"`finops run --date {day}`"


def _imperative(mend: str) -> str:
    """`finops run --date D` -> ``Run `finops run --date D`.``; words for people stay as they are."""
    return f"Run `{mend}`." if mend.startswith("finops") and "," not in mend else f"{mend[0].upper()}{mend[1:]}."


def _of_the_bill(state: DayState, facts: Facts) -> Finding:
    day = state.day
    if state.link == causes.BILL:
        return Finding("bill", "fail", f"{day}: {state.cause}: {state.detail}", _imperative(state.mend))
    if facts.unreadable:
        return Finding("bill", "fail", f"it cannot be read: {facts.unreadable}", "Mend the bill; the archive stays.")
    if state.bill:
        currency = state.archived.currency if state.archived else ""
        of_one = not (state.archived and is_mixed(state.archived))
        amount = f", {money(state.bill.total, currency)}" if of_one else ""
        return Finding("bill", "ok", f"it has {day}: {state.bill.rows:,} rows{amount}")
    if day in facts.covered:
        return Finding("bill", "ok", f"it has {day}")
    return Finding("bill", "skip", f"it does not have {day} any more: what is archived stays")


def _detail(link: str, state: DayState, facts: Facts, settled: Callable[[date], str]) -> str:
    """What a link has of the day, where all links up to it hold."""
    published = state.archived
    assert published, "a thorough inspection describes every day whose object is proved"
    if link == causes.ARCHIVE:
        return _archived(published, settled(state.day))
    if link == causes.CATALOG:
        return f"{state.day} is registered at {state.location}"
    if link == causes.READ_BACK:
        assert state.read, "a day that is read back was read"
        amount = "" if is_mixed(published) else f", {money(state.read.total, published.currency)}"
        return f"a reader gets {state.read.rows:,} rows{amount}, as archived"
    if link == causes.SCORECARD:
        return f"{state.day} is scored as it is archived"
    assert facts.shown, "a dashboard that shows the day was inspected"
    return _shown(facts.shown, facts.as_shown(published))


def _archived(published: PublishedDay, settlement: str) -> str:
    then = published.metadata.get("settlement", "")
    final = settlement if then in ("", settlement) else f"archived while {then}, {settlement} since"
    amount = f"{amounts_in_words(published)} ({published.cost_basis})"
    held = ", held: an earlier version was restored" if bill_difference.is_held(published) else ""
    return f"{published.day}: {published.rows:,} rows, {amount}, {final}, version {published.version}{held}"


def _shown(shown: DashboardContent, published: PublishedDay) -> str:
    parts = []
    if shown.rows is not None:
        parts.append(f"{shown.rows:,} rows")
    if shown.newest_day:
        parts.append(f"up to {shown.newest_day}")
    if published.day in shown.totals:
        parts.append(f"{published.day} with {money(published.total, published.currency)}")
    return f"{', '.join(parts)} ({shown.location}, refreshed {shown.refreshed:%Y-%m-%d %H:%M} UTC)"


def _mailed(outbox: Outbox, day: date, published: PublishedDay | None, recipients: Sequence[str]) -> Iterator[Finding]:
    mail = outbox.records.mailed(day)
    of = mail.covered_by or day
    settled = {address.lower() for address in (*mail.recipients, *mail.unknown)}
    wanted = [mail_address(one, "mail.recipients").addr_spec for one in recipients]
    missing = [one for one in wanted if one.lower() not in settled]
    detail = f"{day}: {mail}" + (f"; not to {', '.join(missing)}" if missing else "")
    if mail.unknown:
        resend = _resend(of, mail.unknown)
        yield Finding(
            "mail", "fail", detail, f"{resend} sends it, {resend[:-1]} --received` records that it has arrived."
        )
    elif mail.state != "sent":
        yield Finding("mail", "fail", detail, f"{_again(of)} sends it to whoever does not have it.")
    elif missing:
        yield Finding("mail", "warn", f"{detail}, in mail.recipients now", f"{_resend(of, missing)} sends it.")
    else:
        yield Finding("mail", "ok", detail)
    stored = outbox.digests.latest(day)
    was_mailed = mail.state != "none" and not mail.covered_by
    if published and stored and was_mailed and stored.fingerprint != published.fingerprint:
        yield Finding(
            "mail",
            "warn",
            f"{day} has changed since: the digest says {money(stored.total, stored.currency)}, the archive "
            f"{money(published.total, published.currency)}",
            "Tell the recipients: a digest that somebody has is not sent again by itself.",
        )


def _resend(day: date, addresses: Sequence[str]) -> str:
    return f"`finops resend {day} --to {addresses[0] if len(addresses) == 1 else 'ADDRESS'}`"

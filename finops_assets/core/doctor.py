"""What `finops doctor` finds: one finding a check, and the walk of one day through the chain, by the roles alone.

Nothing is mended or refreshed here, only looked at. What a platform needs of its surroundings is its own Preflight's.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import date, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Literal, Protocol

from finops_assets.core.digest import mail_address
from finops_assets.core.errors import FinopsError, SettingsError
from finops_assets.core.money import money

if TYPE_CHECKING:
    from finops_assets.core.outbox import Outbox
    from finops_assets.core.ports import Archive, Catalog, PublishedDay, Refused, Warehouse

State = Literal["ok", "warn", "fail", "skip"]
WORDS = {"ok": "ok", "warn": "warned", "fail": "failed", "skip": "skipped"}
NAME_WIDTH = 17
"""The longest name of a check, `configuration set`: lines are written as they are found, and aligned all the same."""


@dataclass(frozen=True)
class Finding:
    """What one check found; `fix` says what to do about it, in the imperative.

    `skip` is what was not looked at: not set, not allowed to be looked at, or pointless after what was found before.
    """

    name: str
    state: State
    detail: str
    fix: str = ""


@dataclass(frozen=True)
class Shown:
    """What the dashboard shows now, as its last refresh left it.

    Attributes:
        refreshed: when that was.
        newest_day: the newest day that it shows; None where that cannot be told.
        rows, expected_rows: what it holds, and what a refresh now would load; None where rows are not counted.
        totals: each day's total, where it can be told.
    """

    location: str
    refreshed: datetime
    newest_day: date | None
    rows: int | None = None
    expected_rows: int | None = None
    totals: Mapping[date, Decimal] = field(default_factory=dict)


class Preflight(Protocol):
    """Looks at what a platform needs, and changes nothing but a probe object of its own."""

    def check(self) -> Iterator[Finding]:
        """Everything that the settings use, each tried; findings come as they are made."""

    def shown(self) -> Shown | None:
        """What the dashboard shows; None before its first refresh."""


def told(name: str, findings: Iterable[Finding]) -> Iterator[Finding]:
    """The findings of a check, the last of them what it broke off with, if it did. A defect is not caught."""
    try:
        yield from findings
    except FinopsError as error:
        yield broken(name, error)


def broken(name: str, error: FinopsError, state: State = "fail") -> Finding:
    """An error as a finding."""
    detail = f"{error.where}: {error.what}" if error.where else error.what
    return Finding(name, state, " ".join(detail.split()), error.fix)


def as_line(finding: Finding) -> str:
    """`ok    bucket             finops-archive in us-east-1`, and below it what to do, if anything is to be done."""
    line = f"{finding.state:<4}  {finding.name:<{NAME_WIDTH}}  {finding.detail}"
    return f"{line}\n{'':<6}Fix: {finding.fix}" if finding.fix else line


def as_record(finding: Finding) -> dict[str, str]:
    """The finding for programs."""
    return asdict(finding)


def verdict(findings: Sequence[Finding]) -> str:
    """`23 checks: 20 ok, 1 warned, 2 failed`."""
    counted = {state: sum(finding.state == state for finding in findings) for state in WORDS}
    return f"{len(findings)} checks: " + ", ".join(f"{n} {WORDS[state]}" for state, n in counted.items() if n)


def addresses(sender: str, recipients: Sequence[str]) -> Iterator[Finding]:
    """Whether the settings' mail addresses are ones that mail servers take."""
    wrong = False
    for setting, address in (("mail.sender", sender), *(("mail.recipients", one) for one in recipients)):
        try:
            mail_address(address, setting)
        except FinopsError as error:
            wrong = True
            yield broken("addresses", error)
    if not recipients:
        yield Finding("addresses", "fail", "mail.recipients names nobody", "Write at least one address.")
    elif not wrong:
        yield Finding("addresses", "ok", f"from {sender} to {', '.join(recipients)}")


def bare(given: Iterable[str], setting: str) -> list[str]:
    """The addresses without their names; those that are none are the matter of `addresses`."""
    found = []
    for one in given:
        try:
            found.append(mail_address(one, setting).addr_spec)
        except SettingsError:
            continue
    return found


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
    day: date,
    *,
    warehouse: Warehouse,
    archive: Archive,
    catalog: Catalog,
    outbox: Outbox,
    preflight: Preflight,
    recipients: Sequence[str],
    today: date,
) -> Iterator[Finding]:
    """One day, link by link: archive, catalog, what a reader gets, dashboard, mail.

    The bill is asked only where the archive does not have the day, as that costs a scan; reading the day back is one
    query over that day's object.

    Args:
        recipients: mail.recipients.
        today: in UTC, for how final the day is.
    """
    try:
        there = archive.describe(day)
    except FinopsError as error:
        there = None
        yield broken("archive", error)
    else:
        yield _archived(day, there, today)
        if there is None:
            yield from told("bill", _in_the_bill(warehouse, day))
    if there is None:
        for name in ("catalog", "read back", "dashboard"):
            yield Finding(name, "skip", f"the archive does not give {day}")
    else:
        registered = list(told("catalog", _registered(catalog, day)))
        yield from registered
        if any(finding.state == "fail" for finding in registered):
            yield Finding("read back", "skip", f"{day} is not registered as it should be")
        else:
            yield from told("read back", _read_back(catalog, there))
        yield from told("dashboard", _on_the_dashboard(preflight, archive, there))
    yield from told("mail", _mailed(outbox, day, there, recipients))


def _again(day: date) -> str:
    return f"`finops run --date {day}`"


def _archived(day: date, there: PublishedDay | None, today: date) -> Finding:
    from finops_assets.core.settlement import settlement

    if there is None:
        return Finding("archive", "fail", f"{day} is not there", f"{_again(day)}, if the bill has the day.")
    then, now = there.metadata.get("settlement", ""), settlement(day, today)
    final = now if then in ("", now) else f"archived while {then}, {now} since"
    return Finding(
        "archive",
        "ok",
        f"{day}: {there.rows:,} rows, {money(there.total, there.currency)} ({there.cost_basis}), {final}, "
        f"version {there.version}",
    )


def _in_the_bill(warehouse: Warehouse, day: date) -> Iterator[Finding]:
    days = warehouse.coverage()
    where = warehouse.describe().path
    if day in days:
        yield Finding("bill", "ok", f"{where} has {day}")
    elif not days:
        yield Finding("bill", "fail", f"{where} has no day at all", "Wait for the export's first delivery.")
    else:
        yield Finding(
            "bill",
            "fail",
            f"{where} has no charges on {day}; it has {len(days)} day(s) from {days[0]} to {days[-1]}",
            f"Wait for the export to deliver it, then {_again(day)}.",
        )


def _registered(catalog: Catalog, day: date) -> Iterator[Finding]:
    location = catalog.registered().get(day)
    if location is None:
        yield Finding("catalog", "fail", f"{day} is not registered: no query sees it", f"{_again(day)}.")
    elif not is_at_its_place(location, day):
        yield Finding("catalog", "fail", f"{day} is registered at {location}, where it is not", f"{_again(day)}.")
    else:
        yield Finding("catalog", "ok", f"{day} is registered at {location}")


def is_at_its_place(location: str, day: date) -> bool:
    """Whether a partition's location, a folder or an S3 address, is where the archive keeps that day."""
    from finops_assets.core.schemas import day_location

    return f"/{location.rstrip('/')}/".endswith(f"/{day_location(day)}")


def _read_back(catalog: Catalog, there: PublishedDay) -> Iterator[Finding]:
    from finops_assets.core.pipeline import read_fault

    found = catalog.read_back([there.day]).get(there.day)
    fault = read_fault(found, there)
    if fault:
        yield Finding("read back", "fail", f"{there.day}: {fault}", f"{_again(there.day)}.")
    else:
        yield Finding(
            "read back", "ok", f"a reader gets {found.rows:,} rows, {money(found.total, there.currency)}, as archived"
        )


def _on_the_dashboard(preflight: Preflight, archive: Archive, there: PublishedDay) -> Iterator[Finding]:
    shown = preflight.shown()
    newest = max(archive.days(), default=there.day)
    if shown is None:
        yield Finding("dashboard", "fail", "it was never refreshed", f"{_again(newest)}.")
        return
    fault = shown_fault(shown, there, newest)
    as_of = f"{shown.location}, refreshed {shown.refreshed:%Y-%m-%d %H:%M} UTC"
    if fault:
        yield Finding("dashboard", "fail", f"{fault} ({as_of})", f"{_again(newest)}, which refreshes it.")
        return
    held = []
    if shown.rows is not None:
        held.append(f"{shown.rows:,} rows")
    if shown.newest_day:
        held.append(f"up to {shown.newest_day}")
    if there.day in shown.totals:
        held.append(f"{there.day} with {money(there.total, there.currency)}")
    yield Finding("dashboard", "ok", f"{', '.join(held)} ({as_of})")


def shown_fault(shown: Shown, there: PublishedDay, newest: date) -> str:
    """How what the dashboard shows differs from the archive, as far as this day goes; empty where it does not."""
    from finops_assets.core.pipeline import HALF_A_CENT

    if shown.expected_rows is not None and shown.rows != shown.expected_rows:
        return f"it holds {shown.rows or 0:,} rows, the catalog has {shown.expected_rows:,}"
    if shown.newest_day and shown.newest_day < newest:
        return f"its newest day is {shown.newest_day}, the archive's is {newest}"
    total = shown.totals.get(there.day)
    if total is not None and abs(total - there.total) >= HALF_A_CENT:
        return f"it shows {money(total, there.currency)} for {there.day}, the archive has {money(there.total)}"
    if shown.totals and total is None and there.day > min(shown.totals):
        return f"it does not show {there.day}"
    return ""


def _mailed(outbox: Outbox, day: date, there: PublishedDay | None, recipients: Sequence[str]) -> Iterator[Finding]:
    mail = outbox.mailed(day)
    of = mail.covered_by or day
    settled = {address.lower() for address in (*mail.recipients, *mail.unknown)}
    wanted = [mail_address(one, "mail.recipients").addr_spec for one in recipients]
    missing = [one for one in wanted if one.lower() not in settled]
    said = f"{day}: {mail}" + (f"; not to {', '.join(missing)}" if missing else "")
    if mail.unknown:
        resend = _resend(of, mail.unknown)
        yield Finding(
            "mail", "fail", said, f"{resend} sends it, {resend[:-1]} --received` records that it has arrived."
        )
    elif mail.state != "sent":
        yield Finding("mail", "fail", said, f"{_again(of)} sends it to whoever does not have it.")
    elif missing:
        yield Finding("mail", "warn", f"{said}, in mail.recipients now", f"{_resend(of, missing)} sends it.")
    else:
        yield Finding("mail", "ok", said)
    stored = outbox.latest(day)
    if there and stored and mail.state != "none" and not mail.covered_by and stored.fingerprint != there.fingerprint:
        yield Finding(
            "mail",
            "warn",
            f"{day} has changed since: the digest says {money(stored.total, stored.currency)}, the archive "
            f"{money(there.total, there.currency)}",
            "Tell the recipients: a digest that somebody has is not sent again by itself.",
        )


def _resend(day: date, addresses: Sequence[str]) -> str:
    return f"`finops resend {day} --to {addresses[0] if len(addresses) == 1 else 'ADDRESS'}`"

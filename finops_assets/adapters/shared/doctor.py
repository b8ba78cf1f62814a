"""Checks that both platforms need: this machine's folders and disk, the accounts' file, mail that is not by SES.

Nothing is written but an unnamed temporary file, and no mail is sent.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from finops_assets.adapters.shared.accounts_file import AccountsFile
from finops_assets.adapters.shared.bounces import Bounces
from finops_assets.adapters.shared.dagster_records import damaged_files
from finops_assets.adapters.shared.folder import try_writing
from finops_assets.adapters.shared.several_bills import SeveralBills
from finops_assets.adapters.shared.smtp import from_settings
from finops_assets.core.accounts.account_map import counts
from finops_assets.core.bill.several import of_bill
from finops_assets.core.bill.totals import bill_totals
from finops_assets.core.errors import ArchiveError
from finops_assets.core.findings import Finding, State, findings_of
from finops_assets.core.home import OTHERS
from finops_assets.core.operations.doctor import bare, undelivered
from finops_assets.core.schemas import UNASSIGNED

if TYPE_CHECKING:
    from finops_assets.core.ports import Warehouse
    from finops_assets.settings.model import Settings
    from finops_assets.settings.sections import AccountsSettings, SmtpSettings


MEGABYTE, GIGABYTE = 1_000_000, 1_000_000_000


LITTLE_SPACE, NO_SPACE = 2 * GIGABYTE, MEGABYTE * 200
"""A bill's sums that do not fit in memory spill a few hundred megabytes; a month of Dagster's history takes as much."""


def free_bytes(folder: Path) -> int:
    """Free bytes of the disk that the folder is on."""
    return shutil.disk_usage(folder).free


def home(folder: Path, free: Callable[[Path], int]) -> Iterator[Finding]:
    """Whether a folder, or the one that it would be made in, can be written and has room."""
    existing = _writable(folder, "home")
    yield Finding(
        "home", "ok", f"{folder} is writable" + ("" if existing == folder.absolute() else ", and made when used")
    )
    if folder.exists() and (mode := folder.stat().st_mode) & OTHERS:
        yield Finding(
            "home's rights",
            "warn",
            f"others than its owner may look into {folder} ({mode & 0o777:03o}), which holds costs and addresses",
            f"If nobody else needs it: `chmod 700 {folder}`.",
        )
    left = free(existing)
    state: State = "fail" if left < NO_SPACE else "warn" if left < LITTLE_SPACE else "ok"
    fix = "" if state == "ok" else "Free space there, or set FINOPS_HOME to another disk."
    yield Finding("disk", state, f"{left / GIGABYTE:,.1f} GB free at {existing}", fix)


def _writable(folder: Path, what: str) -> Path:
    """The folder, or the nearest one above it that exists.

    Raises:
        ArchiveError: nothing can be written there.
    """
    try:
        return try_writing(folder)
    except OSError as error:
        raise ArchiveError(
            f"is not writable: {error.strerror or error}",
            where=f"{folder} ({what})",
            fix="Mend its rights, or set FINOPS_HOME elsewhere; what only reads works all the same.",
        ) from None


def accounts_file(settings: AccountsSettings, attributes: Sequence[str], warehouse: Warehouse) -> Iterator[Finding]:
    """Whether accounts.csv can be read, and has these attributes; without both there is nothing to check."""
    if not settings.path and not attributes:
        yield Finding("accounts", "skip", "accounts.path is not set: every account is shown as Unassigned")
        return
    level, history = settings.ou_level, settings.history
    file = AccountsFile(settings.path, warehouse, ou_level=level, history=history, attributes=attributes)
    per_ou = counts(file.load().table)
    left = per_ou.pop(UNASSIGNED, 0)
    detail = f"{settings.path}: {sum(per_ou.values())} account(s) in {len(per_ou)} OU(s)"
    if left:
        fix = "Fill in ou_path, such as Workloads/Prod; `finops backfill` then makes the days anew."
        yield Finding("accounts", "warn", f"{detail}; {left} without an ou_path are {UNASSIGNED}", fix)
    else:
        yield Finding("accounts", "ok", detail)


def own_mail(settings: Settings) -> Iterator[Finding]:
    """The mail server, and what came back from it."""
    if settings.mail.backend == "smtp":
        yield from findings_of("mail server", _smtp_server(settings.smtp))
    else:
        yield Finding(
            "mail server",
            "skip",
            f"mail.backend is eml: digests are files in {settings.outbox_folder}; it can be ses or smtp",
        )
    yield from findings_of("bounces", _bounces(settings))


def _smtp_server(smtp: SmtpSettings) -> Iterator[Finding]:
    """A connection, its encryption and the login, without a message."""
    mailer = from_settings(smtp)
    mailer.check()
    kind = "not encrypted" if smtp.security == "none" else f"encrypted ({smtp.security})"
    login = f"login of {smtp.username} taken" if smtp.username else "no login"
    yield Finding("mail server", "ok", f"{mailer.place}: {kind}, {login}; no message was sent")


def _bounces(settings: Settings) -> Iterator[Finding]:
    """Recipients whose mail came back, as far as returned mail is delivered to the folder."""
    folder = settings.bounces_folder
    if folder.exists():
        refused = Bounces(folder).refused(bare(settings.mail.everybody, "mail.recipients"))
        yield from undelivered("bounces", refused.items(), f"no report in {folder} names a recipient")
    elif settings.mail.bounces:
        yield Finding(
            "bounces",
            "fail",
            f"{folder} is not there: bounces are not seen",
            "Set mail.bounces to the folder that the sender's mailbox is delivered to, or leave it empty.",
        )


def dagster(folder: Path) -> Iterator[Finding]:
    """Whether Dagster's folder can be written, and each of its SQLite files is whole."""
    existing = _writable(folder, "Dagster's folder")
    damaged = damaged_files(folder)
    for file, fault in damaged.items():
        yield Finding(
            "dagster",
            "fail",
            f"{file}: {fault}",
            f"No day is lost: `rm -r {file}*`, then `finops observe` rebuilds what the UI shows.",
        )
    if not damaged:
        state = "is there, writable and whole" if existing == folder.absolute() else "is made by the first run"
        yield Finding("dagster", "ok", f"{folder} {state}")


def each_bill(warehouse: Warehouse, check: Callable[[Warehouse, str, str], Iterable[Finding]]) -> Iterator[Finding]:
    """The findings of the bill; of several, those of each, and whether they can be read together.

    Args:
        warehouse: the platform's.
        check: checks one bill: (its warehouse, its name, the name of its findings); the name of a single bill is empty.
    """
    if not isinstance(warehouse, SeveralBills):
        yield from findings_of("bill", check(warehouse, "", "bill"))
        return
    for name, bill in warehouse.bills.items():
        yield from findings_of(f"bill {name}", _of_bill(name, check(bill, name, f"bill {name}")))
    yield from findings_of("bills", _together(warehouse))


def _of_bill(name: str, findings: Iterable[Finding]) -> Iterator[Finding]:
    with of_bill(name):
        yield from findings


def _together(bills: SeveralBills) -> Iterator[Finding]:
    """Whether no payer's month is in two bills, all are in one currency, and none is behind the others."""
    bills.refuse_faulty()
    controls = bills.control_totals()
    totals = bill_totals(controls)
    payers = len({of.payer for of in bills.payers()})
    named = sorted({of.currency for of in controls if of.currency and not of.left_out and of.total})
    currencies = " and ".join(named) if len(named) > 1 else totals.currency
    detail = f"{len(bills.bills)} bills of {payers} payer(s), no month of a payer twice, all in {currencies}"
    yield Finding("bills", "ok", detail)
    version = bills.export_version()
    if version.oldest and version.updated:
        yield Finding(
            f"bill {version.oldest}",
            "warn",
            f"was written {version.updated:%Y-%m-%d %H:%M} UTC, the others on a later day: newer days wait for it",
            f"See why its export is late; if it has ended, set last_day of the bill {version.oldest}.",
        )

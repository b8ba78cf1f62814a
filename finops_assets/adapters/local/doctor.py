"""What the embedded platform needs of its machine: a home, space, the bill's files, addresses, a mail server.

Nothing is written but a nameless file that is gone at once, and no mail is sent.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

from finops_assets.adapters.folder import try_writing
from finops_assets.core.bill_totals import bill_totals
from finops_assets.core.doctor import Finding, addresses, bare, files_passed_over, told, undelivered
from finops_assets.core.errors import ArchiveError, DamagedError
from finops_assets.core.heartbeat import is_set
from finops_assets.core.home import OTHERS
from finops_assets.core.ports import Shown

if TYPE_CHECKING:
    from finops_assets.core.ports import Warehouse
    from finops_assets.settings import AccountsSettings, Settings, SmtpSettings

MEGABYTE, GIGABYTE = 1_000_000, 1_000_000_000
LITTLE_SPACE, NO_SPACE = 2 * GIGABYTE, MEGABYTE * 200
"""A bill's sums that do not fit in memory spill a few hundred megabytes; a month of Dagster's history takes as much."""

PAGE_DATA = re.compile(rb'<script type="application/json" id="data">(.*?)</script>', re.DOTALL)


def free_bytes(folder: Path) -> int:
    """Free bytes of the disk that the folder is on."""
    return shutil.disk_usage(folder).free


class LocalPreflight:
    """Looks at the embedded platform.

    Args:
        settings: the settings in force.
        warehouse: reads the bill.
        free: tells the free bytes of the disk that a folder is on.
    """

    def __init__(
        self,
        settings: Settings,
        warehouse: Warehouse,
        free: Callable[[Path], int] = free_bytes,
    ) -> None:
        self._settings, self._warehouse, self._free = settings, warehouse, free

    def check(self) -> Iterator[Finding]:
        settings = self._settings
        yield from told("home", home(settings.home, self._free))
        yield from told("bill", self._bill())
        yield from told("accounts", accounts_file(settings.accounts, self._warehouse))
        yield from addresses(settings.mail.sender, settings.mail.everybody)
        yield from self._mail()
        yield is_set(settings.alerts.heartbeat_url.get_secret_value(), settings.alerts.heartbeat_recipients)
        yield from told("dagster", dagster(settings.dagster_home))

    def shown(self) -> Shown | None:
        file = self._settings.dashboard_file
        if not file.is_file():
            return None
        return page_shown(file.read_bytes(), str(file), datetime.fromtimestamp(file.stat().st_mtime, UTC))

    def _bill(self) -> Iterator[Finding]:
        from finops_assets.core.pipeline import in_words
        from finops_assets.core.states import missing_days

        bill, days = self._warehouse.describe(), list(bill_totals(self._warehouse.control_totals()).days)
        if not days:
            yield Finding("bill", "fail", f"{bill.path} has no charges", "Copy the export again, all of its files.")
            return
        yield Finding(
            "bill",
            "ok",
            f"{bill.path}: {bill.format}, {bill.files} file(s), {bill.size_bytes / MEGABYTE:,.1f} MB, "
            f"{len(days)} day(s) from {days[0]} to {days[-1]}; cost bases {', '.join(bill.cost_bases)}",
        )
        missing = missing_days((), days, days[0], days[-1])
        if missing:
            yield Finding("bill", "warn", f"it has no charges on {in_words(missing)}", "See whether files are missing.")
        yield from files_passed_over(self._warehouse.glance().passed_over)

    def _mail(self) -> Iterator[Finding]:
        settings = self._settings
        if settings.mail.backend == "ses":
            from finops_assets.adapters.aws.doctor import ses
            from finops_assets.adapters.aws.session import AwsSession

            aws = settings.aws
            session = AwsSession(
                region=aws.region, profile=aws.profile, role_arn=aws.role_arn, endpoint_url=aws.endpoint_url
            )
            yield from ses(session, settings.mail, aws.ses_configuration_set)
        else:
            yield from own_mail(settings)


def home(folder: Path, free: Callable[[Path], int]) -> Iterator[Finding]:
    """Whether a folder, or the one that it would be made in, can be written and has room."""
    there = _writable(folder, "home")
    yield Finding(
        "home", "ok", f"{folder} is writable" + ("" if there == folder.absolute() else ", and made when used")
    )
    if folder.exists() and (mode := folder.stat().st_mode) & OTHERS:
        yield Finding(
            "home's rights",
            "warn",
            f"others than its owner may look into {folder} ({mode & 0o777:03o}), which holds costs and addresses",
            f"If nobody else needs it: `chmod 700 {folder}`.",
        )
    left = free(there)
    state = "fail" if left < NO_SPACE else "warn" if left < LITTLE_SPACE else "ok"
    fix = "" if state == "ok" else "Free space there, or set FINOPS_HOME to another disk."
    yield Finding("disk", state, f"{left / GIGABYTE:,.1f} GB free at {there}", fix)


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


def accounts_file(settings: AccountsSettings, warehouse: Warehouse) -> Iterator[Finding]:
    """Whether accounts.csv can be read; without one there is nothing to look at."""
    from finops_assets.adapters.local.accounts import AccountsFile
    from finops_assets.core.accounts import counts

    if not settings.path:
        yield Finding("accounts", "skip", "accounts.path is not set: every account is shown as Unassigned")
        return
    loaded = AccountsFile(settings.path, warehouse, ou_level=settings.ou_level, history=settings.history).load()
    per_ou = counts(loaded.table)
    yield Finding("accounts", "ok", f"{settings.path}: {sum(per_ou.values())} account(s) in {len(per_ou)} OU(s)")


def own_mail(settings: Settings) -> Iterator[Finding]:
    """The mail server, and what came back from it."""
    if settings.mail.backend == "smtp":
        yield from told("mail server", _smtp_server(settings.smtp))
    else:
        yield Finding(
            "mail server",
            "skip",
            f"mail.backend is eml: digests are files in {settings.outbox_folder}; it can be ses or smtp",
        )
    yield from told("bounces", _bounces(settings))


def _smtp_server(smtp: SmtpSettings) -> Iterator[Finding]:
    """A connection, its encryption and the login, without a message."""
    from finops_assets.adapters.smtp import from_settings

    mailer = from_settings(smtp)
    mailer.check()
    kind = "not encrypted" if smtp.security == "none" else f"encrypted ({smtp.security})"
    login = f"login of {smtp.username} taken" if smtp.username else "no login"
    yield Finding("mail server", "ok", f"{mailer.place}: {kind}, {login}; no message was sent")


def _bounces(settings: Settings) -> Iterator[Finding]:
    """Whose mail came back; nothing is to be said before somebody delivers returned mail to the folder."""
    from finops_assets.adapters.bounces import Bounces

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
    from finops_assets.adapters.local.dagster_records import damaged_files

    there = _writable(folder, "Dagster's folder")
    damaged = damaged_files(folder)
    for file, fault in damaged.items():
        yield Finding(
            "dagster",
            "fail",
            f"{file}: {fault}",
            f"No day is lost: `rm -r {file}*`, then `finops observe` rebuilds what the UI shows.",
        )
    if not damaged:
        made = "is there, writable and whole" if there == folder.absolute() else "is made by the first run"
        yield Finding("dagster", "ok", f"{folder} {made}")


def page_shown(page: bytes, location: str, refreshed: datetime) -> Shown:
    """What a dashboard page holds, by the figures in it.

    Raises:
        DamagedError: it is no page of ours, or not a whole one.
    """
    found = PAGE_DATA.search(page)
    try:
        data: dict[str, Any] = json.loads(found[1] if found else b"")
        days = [date.fromisoformat(day) for day in data["days"]]
        totals = {
            day: Decimal(sum(amounts[i] for amounts in data["amounts"])).scaleb(-6)
            + Decimal(sum(rest[i] for rest in data["ou_rest"])).scaleb(-12)
            for i, day in enumerate(days)
        }
    except (ValueError, KeyError, IndexError, TypeError):
        raise DamagedError(
            "is no dashboard of ours, or not a whole one", where=location, fix="`finops run` writes it anew."
        ) from None
    return Shown(location, refreshed, days[-1], totals=totals)

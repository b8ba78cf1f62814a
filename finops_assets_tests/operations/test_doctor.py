"""`finops doctor` names what is broken, what mends it, and changes nothing by looking."""

from __future__ import annotations

import shutil
import socketserver
import sqlite3
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from email.message import EmailMessage
from functools import cache, partial
from pathlib import Path
from typing import Any

import pytest

from finops_assets.adapters.local.doctor import LocalPreflight
from finops_assets.composition.channels import look_at_mail
from finops_assets.core.accounts.account_map import to_parquet
from finops_assets.core.archive import publishing, registering
from finops_assets.core.delivery.digest_service import DigestService
from finops_assets.core.delivery.outbox import Outbox
from finops_assets.core.delivery.recipients import Recipients
from finops_assets.core.errors import FinopsError, UnknownDeliveryError
from finops_assets.core.findings import NAME_WIDTH, Finding, as_line, as_record, verdict
from finops_assets.core.operations.doctor import walk
from finops_assets.core.reports.drawing import Drawing
from finops_assets.core.schemas import ACCOUNT_MAP_PATH, day_path, scorecard_path
from finops_assets.core.values import CatalogDay, Delivery, PublishedDay, Refused
from finops_assets.platform import Platform, build_platform
from finops_assets.settings.load import load_settings
from finops_assets_tests.support.bills import account_map, at, line, make_bill, rows_of
from standin.data_sets import Ingestion
from standin.others import denied
from standin.server import StandIn

DAY = date(2025, 9, 10)
NEXT = DAY + timedelta(days=1)
TODAY = date(2025, 9, 12)
ANNA, BEN, CARA = "anna@example.com", "ben@example.com", "cara@example.org"


def of(findings: list[Finding], state: str) -> list[str]:
    return [finding.name for finding in findings if finding.state == state]


def the(findings: list[Finding], name: str, state: str) -> Finding:
    """The one finding of this name and state."""
    found = [finding for finding in findings if (finding.name, finding.state) == (name, state)]
    assert len(found) == 1, "\n".join(map(as_line, findings))
    return found[0]


# --- lines ------------------------------------------------------------------------------------------------------------


def test_a_finding_is_an_aligned_line_with_its_fix_below() -> None:
    """The state is a word, names are a column, and nothing depends on colour."""
    lines = [
        as_line(Finding("bucket", "ok", "finops-archive in us-east-1")),
        as_line(Finding("configuration set", "fail", "digests: sending is paused", "Enable it.")),
    ]
    assert lines == [
        "ok    bucket             finops-archive in us-east-1",
        "fail  configuration set  digests: sending is paused\n      Fix: Enable it.",
    ]


def test_findings_are_counted_and_given_to_programs() -> None:
    """The last line counts what was found; a record has the same four words as a line."""
    findings = [Finding("a", "ok", "x"), Finding("b", "fail", "y", "z"), Finding("c", "ok", "x")]
    assert verdict(findings) == "3 checks: 2 ok, 1 failed"
    assert as_record(findings[1]) == {"name": "b", "state": "fail", "detail": "y", "fix": "z"}


# --- the walk of a day, on the embedded platform ----------------------------------------------------------------------


class SomeMailer:
    """Takes every message but those to these addresses, which it refuses or never answers."""

    repeatable = False

    def __init__(self, refuses: str = "", loses: str = "") -> None:
        self.refuses, self.loses = refuses, loses

    def send(self, message: EmailMessage, recipient: str, delivery_id: str) -> Delivery:
        if recipient == self.refuses:
            raise FinopsError("mailbox full")
        if recipient == self.loses:
            raise UnknownDeliveryError("the connection broke")
        return Delivery(recipient, delivery_id, "somewhere")

    def refused(self, recipients: Sequence[str]) -> dict[str, Refused]:
        return {}


class Home:
    """A home in which two days have gone all the way, step by step, so that each step can be broken."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        if not (folder / "bill").exists():
            make_bill(folder / "bill", [line("12.50", start=at(DAY)), line("20", start=at(NEXT))])
        self.platform = self.opened()
        if self.platform.archive.get(ACCOUNT_MAP_PATH) is None:
            self.platform.archive.put(ACCOUNT_MAP_PATH, to_parquet(account_map()))

    def opened(self) -> Platform:
        values = {"home": str(self.folder / "home"), "bill.path": str(self.folder / "bill")}
        platform = build_platform(load_settings({}, values, folder=self.folder))
        return replace(platform, outbox=self.outbox(platform, SomeMailer()))

    def outbox(self, platform: Platform, mailer: SomeMailer, recipients: tuple[str, ...] = (ANNA, BEN)) -> Outbox:
        return Outbox(platform.archive, mailer, Recipients("finops@example.com", recipients))

    def archive(self, *days: date) -> None:
        publishing.archive_days(
            self.platform.warehouse,
            self.platform.archive,
            days,
            cost_basis="billed",
            run_id="1",
            now=datetime.combine(TODAY, time(7), UTC),
        )

    def register(self, *days: date) -> None:
        registering.register_days(self.platform.archive, self.platform.catalog, days)

    def refresh(self) -> None:
        self.platform.dashboard.refresh("by-hand")

    def send(self, day: date, mailer: SomeMailer) -> None:
        outbox = self.outbox(self.platform, mailer)
        morning = DigestService(self.platform.archive, outbox, drawing=Drawing(lambda _: b"\x89PNG", lambda *_: b""))
        morning.send([day], datetime(2025, 9, 12, 7, tzinfo=UTC))

    def change_bill(self) -> None:
        make_bill(self.folder / "bill", [line("13", start=at(DAY)), line("20", start=at(NEXT))])
        self.platform = self.opened()

    def score(self, *days: date) -> None:
        self.platform.scoring.score(days, datetime.combine(TODAY, time(7), UTC))

    def walk(self, day: date = DAY, recipients: tuple[str, ...] = (ANNA, BEN), **other: Any) -> list[Finding]:
        platform = replace(self.platform, **other)
        inspection = platform.inspector.thorough(datetime.combine(TODAY, time(7), UTC), [day])
        return list(
            walk(day, inspection, outbox=platform.outbox, recipients=recipients, settled=lambda _: "provisional")
        )


@pytest.fixture(scope="module")
def made_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = Home(tmp_path_factory.mktemp("home"))
    home.archive(DAY)
    home.register(DAY)
    home.score(DAY)
    home.refresh()
    home.send(DAY, SomeMailer())
    return home.folder


@pytest.fixture
def home(made_once: Path, tmp_path: Path) -> Home:
    """A day that is whole, and one that is only in the bill; a copy."""
    shutil.copytree(made_once, tmp_path, dirs_exist_ok=True)
    return Home(tmp_path)


def test_a_whole_day_has_nothing_to_mend(home: Home) -> None:
    """Each link says its numbers: rows, total, currency, cost basis, settlement, version, who was mailed."""
    findings = home.walk()
    assert [(f.name, f.state) for f in findings] == [
        ("bill", "ok"),
        ("archive", "ok"),
        ("catalog", "ok"),
        ("read back", "ok"),
        ("scorecard", "ok"),
        ("dashboard", "ok"),
        ("mail", "ok"),
    ]
    version = home.platform.archive.describe(DAY).version
    assert findings[0].detail == f"it has {DAY}: 1 rows, 12.50 USD"
    assert findings[1].detail == f"{DAY}: 1 rows, 12.50 USD (billed), provisional, version {version}"
    assert "12.50 USD" in findings[3].detail
    assert f"{DAY} with 12.50 USD" in findings[5].detail
    assert ANNA in findings[6].detail
    assert BEN in findings[6].detail
    assert not any(finding.fix for finding in findings)


def damage(home: Home) -> None:
    home.platform.archive.put(day_path(DAY), b"half an object")


def unregister(home: Home) -> None:
    home.platform.settings.catalog_file.unlink()


def register_elsewhere(home: Home) -> None:
    with closing(sqlite3.connect(home.platform.settings.catalog_file)) as con, con:
        con.execute("UPDATE partitions SET location = 'ou-breakdowns/year=2025/month=9/day=10/'")


def change_after_the_refresh(home: Home) -> None:
    home.change_bill()
    home.archive(DAY)
    home.score(DAY)


def lose_the_scorecard(home: Home) -> None:
    home.platform.archive.delete([scorecard_path(DAY)])


def break_the_bill(home: Home) -> None:
    for file in (home.folder / "bill").rglob("*.*"):
        file.write_bytes(b"\x00half a bill")


def archive_one_more(home: Home) -> None:
    home.archive(NEXT)


BROKEN_DAYS = [
    (damage, "archive", f"finops run --date {DAY}", "the object is no Parquet file"),
    (lambda h: h.platform.archive.delete([day_path(DAY)]), "archive", f"finops run --date {DAY}", "the object is gone"),
    (unregister, "catalog", f"finops run --date {DAY}", "no query sees an unregistered day"),
    (register_elsewhere, "catalog", f"finops run --date {DAY}", "a crawler writes month=9, the objects are in 09"),
    (lambda h: h.platform.settings.dashboard_file.unlink(), "dashboard", f"finops run --date {DAY}", "no page"),
    (archive_one_more, "dashboard", f"finops run --date {NEXT}", "the page ends before the archive does"),
    (lambda h: h.change_bill(), "archive", f"finops run --date {DAY}", "AWS has changed the day"),
    (lose_the_scorecard, "scorecard", f"finops run --date {DAY}", "the table ou_scorecard lacks it"),
    (break_the_bill, "bill", "Mend the bill", "nobody can say whether the day is as in the bill"),
    (change_after_the_refresh, "dashboard", f"finops run --date {DAY}", "the page shows the day as it was"),
]


@pytest.mark.parametrize(("breaks", "name", "fix", "reason"), BROKEN_DAYS, ids=[case[3] for case in BROKEN_DAYS])
def test_the_link_that_is_broken_fails_and_names_the_command(
    home: Home, breaks: Callable[[Home], None], name: str, fix: str, reason: str
) -> None:
    """One link fails, and what mends it is a command with the day in it."""
    breaks(home)
    findings = home.walk()
    assert set(of(findings, "fail")) == {name}
    assert fix in the(findings, name, "fail").fix


def test_the_bill_is_asked_where_the_archive_lacks_the_day(home: Home) -> None:
    """Whether to run the day or to wait for the export is said; what would follow is not pretended to be known."""
    there, absent = home.walk(NEXT), home.walk(DAY + timedelta(days=5))
    assert f"has {NEXT}" in the(there, "bill", "ok").detail
    assert "no object" in the(there, "archive", "fail").detail
    assert of(there, "skip") == ["catalog", "read back", "scorecard", "dashboard"]
    assert f"the bill ends on {NEXT}" in the(absent, "bill", "fail").detail
    assert "ait for the export" in the(absent, "bill", "fail").fix


class Reads:
    """A catalog in which the day is registered, and read back as a test says."""

    def __init__(self, found: CatalogDay | None) -> None:
        self.found, self.location = found, f"ou-breakdowns/year=2025/month=09/day={DAY.day}/"

    def registered(self) -> dict[date, str]:
        return {DAY: self.location}

    def read_back(self, days: list[date]) -> dict[date, CatalogDay]:
        return {DAY: self.found} if self.found else {}


READ = CatalogDay(DAY, "there", 1, Decimal("12.5"), 0)
MISREAD = [
    (None, "0 rows are read, 1 are archived", "the object is gone"),
    (replace(READ, rows=2, total=Decimal(25)), "2 times over", "the day is registered as 9 and as 09"),
    (replace(READ, rows=2, total=Decimal(25), objects=2), "remove all but", "two objects lie in the folder"),
    (replace(READ, strays=1), "other days", "the object holds another day"),
    (replace(READ, total=Decimal("12.51")), "12.51 is read", "the amounts differ"),
]


@pytest.mark.parametrize(("found", "said", "reason"), MISREAD, ids=[case[2] for case in MISREAD])
def test_what_a_reader_gets_is_held_to_the_archive(home: Home, found: Any, said: str, reason: str) -> None:
    """Rows, days and total that a query gives must be the archive's."""
    finding = the(home.walk(catalog=Reads(found)), "read back", "fail")
    assert said in finding.detail
    assert f"finops run --date {DAY}" in finding.fix


UNSENT = [
    (None, (ANNA, BEN), "fail", f"finops run --date {DAY}", "not mailed", "nobody has it"),
    (SomeMailer(refuses=BEN), (ANNA, BEN), "fail", f"finops run --date {DAY}", f"not to {BEN}", "one was refused"),
    (SomeMailer(loses=BEN), (ANNA, BEN), "fail", f"finops resend {DAY} --to {BEN} --received", BEN, "not known"),
    (SomeMailer(), (ANNA, BEN, CARA), "warn", f"finops resend {DAY} --to {CARA}", f"not to {CARA}", "one came later"),
]


@pytest.mark.parametrize(("mailer", "wanted", "state", "fix", "said", "reason"), UNSENT, ids=[c[5] for c in UNSENT])
def test_who_lacks_the_digest_is_named(
    tmp_path: Path, mailer: SomeMailer | None, wanted: tuple[str, ...], state: str, fix: str, said: str, reason: str
) -> None:
    """To whom it went, for whom it is missing and of whom it is not known; each with the command that settles it."""
    home = Home(tmp_path)
    home.archive(DAY)
    if mailer:
        try:
            home.send(DAY, mailer)
        except FinopsError:
            assert mailer.refuses or mailer.loses
    finding = the(home.walk(recipients=wanted), "mail", state)
    assert fix in finding.fix
    assert said in finding.detail


def test_a_digest_that_the_day_has_outgrown_is_told_of(home: Home) -> None:
    """Both totals are said: the one that people have in their inbox, and the one in the archive."""
    change_after_the_refresh(home)
    finding = the(home.walk(), "mail", "warn")
    assert "12.50 USD" in finding.detail
    assert "13.00 USD" in finding.detail


# --- the embedded platform's preflight --------------------------------------------------------------------------------


def local(tmp_path: Path, free: int = 10**12, **settings: Any) -> list[Finding]:
    make_bill(tmp_path / "bill", [line("12.50")])
    values = {
        "home": str(tmp_path / "home"),
        "bill.path": str(tmp_path / "bill"),
        "mail.sender": "finops@example.com",
        "mail.recipients": ANNA,
    }
    chosen = load_settings({}, values | {name.replace("__", "."): value for name, value in settings.items()})
    platform = build_platform(chosen.model_copy(update={"home": tmp_path / "home"}))
    return list(
        LocalPreflight(chosen, platform.warehouse, partial(look_at_mail, chosen), free=lambda folder: free).check()
    )


def test_a_healthy_machine_has_nothing_to_mend(tmp_path: Path) -> None:
    """The bill's days, the accounts, the addresses and the space are told; what is not set is skipped in words."""
    (tmp_path / "accounts.csv").write_text("account_id,account_name,ou_path\n111122223333,shop,Retail\n")
    findings = local(tmp_path, accounts__path=str(tmp_path / "accounts.csv"))
    assert of(findings, "fail") + of(findings, "warn") == []
    assert "focus, 1 file(s)" in the(findings, "bill", "ok").detail
    assert "1 day(s) from 2025-09-10" in the(findings, "bill", "ok").detail
    assert "1 account(s) in 1 OU(s)" in the(findings, "accounts", "ok").detail
    assert "eml" in the(findings, "mail server", "skip").detail
    assert not (tmp_path / "home").exists(), "looking makes no home"


def test_files_beside_the_bill_are_one_line_with_an_example(tmp_path: Path) -> None:
    """A file that may be a part of the bill is warned of, with what to do; hidden files alone are said, no more."""
    make_bill(tmp_path / "bill", [line("12.50")])
    for name in ("_old.parquet", "10.zip", "11.zip"):
        (tmp_path / "bill" / name).write_bytes(b"x" * 600_000)
    warned = the(local(tmp_path), "files passed over", "warn")
    assert "2 file(s), 1.2 MB: neither Parquet nor CSV by name, such as 10.zip" in warned.detail
    assert "such as _old.parquet" in warned.detail
    assert "Unpack" in warned.fix
    for name in ("10.zip", "11.zip"):
        (tmp_path / "bill" / name).unlink()
    said = the(local(tmp_path), "files passed over", "ok")
    assert "1 file(s), 0.6 MB" in said.detail
    assert len(said.name) <= NAME_WIDTH
    (tmp_path / "bill" / "_old.parquet").unlink()
    assert "files passed over" not in {finding.name for finding in local(tmp_path)}


def a_file(folder: Path) -> str:
    (folder / "file").write_text("")
    return str(folder / "file" / "home")


def accounts_without_unit(folder: Path) -> str:
    file = folder / "accounts.csv"
    file.write_text("account_id,account_name,ou_path\n111122223333,shop,Retail\n")
    return str(file)


UNFIT = [
    (lambda f: {"home": a_file(f)}, "home", "fail", "FINOPS_HOME", "the home cannot be made"),
    (lambda f: {"free": 10**8}, "disk", "fail", "Free space", "the disk is full"),
    (lambda f: {"free": 10**9}, "disk", "warn", "Free space", "the disk is nearly full"),
    (lambda f: {"bill__path": str(f / "none")}, "bill", "fail", "bill", "there is no bill"),
    (lambda f: {"bill__cost_basis": "net_amortized"}, "bill", "fail", "cost_basis", "the bill lacks the cost basis"),
    (lambda f: {"accounts__path": str(f / "no.csv")}, "accounts", "fail", "accounts.csv", "no such accounts.csv"),
    (lambda f: {"accounts__ou_level": 3}, "accounts", "skip", "", "no accounts.csv is set"),
    (lambda f: {"dimensions__keys": "account:unit"}, "accounts", "fail", "accounts.path", "an attribute has no file"),
    (
        lambda f: {"dimensions__keys": "account:unit", "accounts__path": accounts_without_unit(f)},
        *("accounts", "fail", "account:..."),
        "accounts.csv lacks the attribute",
    ),
]


@pytest.mark.parametrize(("breaks", "name", "state", "fix", "reason"), UNFIT, ids=[case[4] for case in UNFIT])
def test_what_the_machine_lacks_is_found(
    tmp_path: Path, breaks: Callable[[Path], dict[str, Any]], name: str, state: str, fix: str, reason: str
) -> None:
    """Each fault is one finding of its own; the checks after it are made all the same."""
    findings = local(tmp_path, **breaks(tmp_path))
    assert fix in the(findings, name, state).fix
    assert findings[-1].name == "dagster"


BOUNCE = f"""\
Date: Thu, 11 Sep 2025 07:00:08 +0000
Content-Type: multipart/report; report-type=delivery-status; boundary=part

--part
Content-Type: message/delivery-status

Reporting-MTA: dns; mail.example.com

Action: failed
Final-Recipient: rfc822; {ANNA}
Diagnostic-Code: smtp; 550 5.1.1 user unknown
--part--
"""


def test_returned_mail_is_a_finding_where_its_folder_is_there(tmp_path: Path) -> None:
    """Before somebody delivers returned mail there is nothing to say; then who, why and what to remove."""
    folder = tmp_path / "home" / "bounces"
    assert "bounces" not in [finding.name for finding in local(tmp_path)]
    folder.mkdir(parents=True)
    assert str(folder) in the(local(tmp_path), "bounces", "ok").detail
    (folder / "1.eml").write_text(BOUNCE)
    finding = the(local(tmp_path), "bounces", "fail")
    assert finding.detail == f"{ANNA} since 2025-09-11: the mail came back (550 5.1.1 user unknown)"
    assert str(folder / "1.eml") in finding.fix


def test_returned_mail_may_lie_elsewhere(tmp_path: Path) -> None:
    """A folder that is set and not there is a fault: bounces would go unseen."""
    elsewhere = tmp_path / "Maildir"
    assert "mail.bounces" in the(local(tmp_path, mail__bounces=str(elsewhere)), "bounces", "fail").fix
    (elsewhere / "new").mkdir(parents=True)
    (elsewhere / "new" / "1").write_text(BOUNCE)
    assert ANNA in the(local(tmp_path, mail__bounces=str(elsewhere)), "bounces", "fail").detail
    platform = build_platform(
        load_settings({}, {"home": str(tmp_path / "h"), "mail.bounces": str(elsewhere), "mail.recipients": ANNA})
    )
    assert list(platform.outbox.refused()) == [ANNA]


class MailServer(socketserver.StreamRequestHandler):
    """As much of SMTP as a login takes; it remembers every command."""

    heard: tuple[list[str], str] = ([], "")

    def handle(self) -> None:
        commands, login = self.server.heard, self.server.login
        self.wfile.write(b"220 hello\r\n")
        while asked := self.rfile.readline().decode().strip():
            commands.append(asked.split()[0].upper())
            answers = {"EHLO": "250-hello\r\n250 AUTH PLAIN", "AUTH": login, "QUIT": "221 bye"}
            self.wfile.write(f"{answers.get(commands[-1], '502 what')}\r\n".encode())


@contextmanager
def mail_server(login: str) -> Iterator[Any]:
    with socketserver.TCPServer(("127.0.0.1", 0), MailServer) as server:
        server.heard, server.login = [], login
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        yield server
        server.shutdown()


LOGINS = [
    ("235 welcome", "ok", "", "the login is taken"),
    ("535 no", "fail", "smtp.password", "the password is wrong"),
]


@pytest.mark.parametrize(("answer", "state", "fix", "reason"), LOGINS, ids=[case[3] for case in LOGINS])
def test_the_mail_server_is_tried_as_far_as_the_login(
    tmp_path: Path, answer: str, state: str, fix: str, reason: str
) -> None:
    """A connection, encryption and login show whether a digest could go out; no message is begun."""
    smtp = {"mail__backend": "smtp", "smtp__host": "127.0.0.1", "smtp__security": "none", "smtp__username": "finops"}
    with mail_server(answer) as server:
        settings = smtp | {"smtp__password": "secret", "smtp__port": server.server_address[1]}
        finding = the(local_mail(tmp_path, settings), "mail server", state)
    assert fix in finding.fix
    assert "secret" not in as_line(finding)
    assert "AUTH" in server.heard
    assert not {"MAIL", "RCPT", "DATA"} & set(server.heard)


def local_mail(tmp_path: Path, settings: dict[str, Any]) -> list[Finding]:
    """The findings of a preflight whose platform sends nothing itself."""
    make_bill(tmp_path / "bill", [line("12.50")])
    values = {"home": str(tmp_path / "home"), "bill.path": str(tmp_path / "bill")}
    warehouse = build_platform(load_settings({}, values)).warehouse
    chosen = load_settings({}, values | {name.replace("__", "."): value for name, value in settings.items()})
    return list(LocalPreflight(chosen, warehouse, partial(look_at_mail, chosen)).check())


def test_a_mail_server_that_is_not_there_is_named(tmp_path: Path) -> None:
    """A refused connection names the place and the settings to look at."""
    with mail_server("") as server:
        port = server.server_address[1]
    finding = the(
        local_mail(tmp_path, {"mail__backend": "smtp", "smtp__host": "127.0.0.1", "smtp__port": port}),
        "mail server",
        "fail",
    )
    assert f"127.0.0.1:{port}" in finding.detail
    assert "smtp.host" in finding.fix


# --- AWS --------------------------------------------------------------------------------------------------------------

BUCKET, BILLING, TOPIC, DATA_SET = "finops-archive", "acme-billing", "finops-alerts", "ou-breakdown"


@cache
def made(aws: StandIn, service: str) -> Any:
    """A client for all tests: to make one takes 50 ms."""
    return aws.client(service, retries={"total_max_attempts": 1})


class Answers:
    """A service that answers some operations as a test says, and the others as before."""

    def __init__(self, answers: dict[str, Any], before: Any = None) -> None:
        self.answers, self.before = answers, before

    def answer(self, call: Any) -> Any:
        if call.operation in self.answers:
            return self.answers[call.operation]
        assert self.before, call.operation
        return self.before.answer(call)


class Account:
    """An AWS account that is set up as the platform needs it, which a test then spoils."""

    def __init__(self, aws: StandIn, folder: Path) -> None:
        self.aws = aws
        self.s3, self.glue, self.sns, self.ses = (made(aws, service) for service in ("s3", "glue", "sns", "sesv2"))
        self.settings: dict[str, Any] = {
            "platform": "aws",
            "home": str(folder / "home"),
            "bill.table": "billing.cur2",
            "mail.sender": "FinOps <finops@mail.example.com>",
            "mail.recipients": f"{ANNA}, {BEN}",
            "aws.endpoint_url": aws.url,
            "aws.region": aws.region,
            "aws.bucket": BUCKET,
            "aws.athena_results": f"s3://{BILLING}/athena/",
            "aws.quicksight_data_set": DATA_SET,
            "aws.ses_configuration_set": "digests",
            "aws.sns_topic_arn": f"arn:aws:sns:{aws.region}:{aws.account}:{TOPIC}",
        }
        self._fill()

    def _fill(self) -> None:
        self.s3.create_bucket(Bucket=BUCKET)
        self.s3.put_bucket_versioning(Bucket=BUCKET, VersioningConfiguration={"Status": "Enabled"})
        blocks = ("BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets")
        self.s3.put_public_access_block(Bucket=BUCKET, PublicAccessBlockConfiguration=dict.fromkeys(blocks, True))
        self.s3.create_bucket(Bucket=BILLING)
        self.s3.put_object(Bucket=BILLING, Key="cur2/BILLING_PERIOD=2025-09/cur2-00001.snappy.parquet", Body=b"PAR1")
        self.glue.create_database(DatabaseInput={"Name": "billing"})
        types = {float: "double", datetime: "timestamp"}
        [row] = rows_of([line("1")], "cur2")
        self.create_table(
            "billing",
            "cur2",
            [
                (name, types.get(type(value), "double" if name.endswith("cost") else "string"))
                for name, value in row.items()
            ],
            f"s3://{BILLING}/cur2/",
        )
        platform = self.platform()
        platform.catalog.register([self.published(DAY), self.published(NEXT)])
        self.aws.organizations.grow({"Retail": {"222233334444": "shop"}})
        data_set = self.aws.quicksight.add_data_set(DATA_SET)
        self.content = platform.catalog.contents()[2]
        self.ingest(data_set, f"daily-{DAY}-{self.content[:8]}-1", rows=6)
        self.aws.mail.verify("example.com")
        self.ses.create_configuration_set(ConfigurationSetName="digests")
        topic = self.sns.create_topic(Name=TOPIC)["TopicArn"]
        self.sns.subscribe(TopicArn=topic, Protocol="email", Endpoint=ANNA)
        self.aws.topics.confirm(ANNA)
        self.aws.calls.reset()

    def published(self, day: date) -> PublishedDay:
        return PublishedDay(day, day_path(day), "v1", 3, Decimal(9), "USD", "billed", "f1", 100)

    def create_table(
        self, database: str, name: str, columns: list[tuple[str, str]], location: str, keys: Any = ()
    ) -> None:
        self.glue.create_table(
            DatabaseName=database,
            TableInput={
                "Name": name,
                "TableType": "EXTERNAL_TABLE",
                "PartitionKeys": [{"Name": key, "Type": "int"} for key in keys],
                "StorageDescriptor": {
                    "Columns": [{"Name": column, "Type": type_} for column, type_ in columns],
                    "Location": location,
                },
            },
        )

    def ingest(self, data_set: Any, ingestion_id: str, status: str = "COMPLETED", **facts: Any) -> None:
        created = self.aws.clock() - timedelta(minutes=5)
        ended = Ingestion(ingestion_id, data_set, created, "FULL_REFRESH", status, self.aws.clock(), **facts)
        self.aws.quicksight.ingestions.append(ended)

    def deny(self, service: str, operation: str, action: str, resource: str) -> None:
        error = denied(action, resource)
        self.aws.faults.fail(
            service, operation, code=error.code, message=error.message, status=error.status, times=None
        )

    def answers(self, service: str, **answers: Any) -> None:
        services = self.aws._services
        services[service] = Answers(answers, services.get(service))

    def platform(self) -> Platform:
        return build_platform(load_settings({}, self.settings))

    def doctor(self) -> list[Finding]:
        return list(self.platform().preflight.check())


@pytest.fixture
def account(aws: StandIn, tmp_path: Path) -> Iterator[Account]:
    services = dict(aws._services)
    yield Account(aws, tmp_path)
    aws._services.clear()
    aws._services.update(services)


CHANGING = ("Create", "Put", "Delete", "Update", "Batch", "Start", "Stop", "Send", "Publish", "Subscribe", "Copy")


def test_a_healthy_account_has_nothing_to_mend_and_is_left_as_it_was(account: Account) -> None:
    """No check fails; the only effects are probes, removed at once, and queries that scan nothing."""
    findings = account.doctor()
    assert of(findings, "fail") + of(findings, "warn") == [], "\n".join(map(as_line, findings))
    effects = [call for call in account.aws.calls.log if call.operation.startswith(CHANGING)]
    assert {call.operation for call in effects} == {"PutObject", "DeleteObjects", "StartQueryExecution"}
    assert all(call.params["Key"].startswith("_staging/") for call in effects if call.operation == "PutObject")
    queries = [call.params["QueryString"] for call in effects if call.operation == "StartQueryExecution"]
    assert queries[0] == "SELECT 1"
    assert queries[1].startswith("UNLOAD (\nSELECT 1 AS one\n)")
    assert len(queries) > 5
    assert all(query.startswith("EXPLAIN (TYPE VALIDATE)\n") for query in queries[2:])
    assert sum(query.scanned for query in account.aws.athena.queries) == 0
    assert "Contents" not in account.s3.list_objects_v2(Bucket=BUCKET)


def test_the_lines_say_what_was_found_in_numbers(account: Account) -> None:
    """Names fit their column; account, days, files, quota, refreshes and subscriptions are told; secrets are not."""
    findings = account.doctor()
    said = {finding.name: finding.detail for finding in findings}
    assert max(map(len, said)) <= NAME_WIDTH
    assert account.aws.account in said["credentials"]
    assert said["partitions"] == f"2 day(s) from {DAY} to {NEXT}, each once, at its place"
    assert "1 file(s)" in said["bill's files"]
    assert "cur2" in said["bill"]
    assert said["refreshes"] == "31 of 32 left in these 24 hours"
    assert "50,000 of 50,000 messages left" in said["ses account"]
    assert "verified by example.com" in said["sender"]
    assert "1 confirmed" in said["alerts"]
    assert "ses:SendRawEmail" in said["not tried"]
    assert "AWS_SECRET_ACCESS_KEY" not in "".join(said.values())


def test_objects_that_athena_passes_over_are_told(account: Account) -> None:
    """A hidden object in the bill's place is one line with an example."""
    account.s3.put_object(Bucket=BILLING, Key="cur2/BILLING_PERIOD=2025-09/_old.parquet", Body=b"PAR1")
    said = the(account.doctor(), "files passed over", "ok").detail
    assert "1 file(s), 0.0 MB" in said
    assert "such as BILLING_PERIOD=2025-09/_old.parquet" in said


def test_a_new_account_is_told_what_the_first_run_makes(account: Account) -> None:
    """Tables that are not there yet are no fault, and are not made by looking."""
    account.glue.delete_database(Name="finops_db")
    findings = account.doctor()
    assert "first run makes it" in the(findings, "tables", "ok").detail
    assert "no day" in the(findings, "partitions", "ok").detail
    assert account.aws.calls.count("glue", "CreateDatabase") + account.aws.calls.count("glue", "CreateTable") == 0


def test_what_is_not_set_is_skipped_and_named(account: Account) -> None:
    """Each service that the settings leave out has its line with the setting that would bring it in."""
    unset = ("aws.quicksight_data_set", "aws.ses_configuration_set", "aws.sns_topic_arn")
    account.settings |= dict.fromkeys(unset, "") | {"mail.backend": "eml"}
    skipped = " ".join(f.detail for f in account.doctor() if f.state == "skip")
    assert "aws.quicksight_data_set" in skipped
    assert "aws.sns_topic_arn" in skipped
    assert "mail.backend is eml" in skipped
    assert not account.aws.calls.count("quicksight") + account.aws.calls.count("sns") + account.aws.calls.count("sesv2")


def no_bucket(a: Account) -> None:
    a.settings["aws.bucket"] = "finops-archives"


def another_region(a: Account) -> None:
    place = {"LocationConstraint": "eu-west-1"}
    a.aws.client("s3", region_name="eu-west-1").create_bucket(Bucket="far-away", CreateBucketConfiguration=place)
    a.settings["aws.bucket"] = "far-away"


def no_versions(a: Account) -> None:
    a.s3.put_bucket_versioning(Bucket=BUCKET, VersioningConfiguration={"Status": "Suspended"})


def no_such_workgroup(a: Account) -> None:
    a.settings["aws.workgroup"] = "finance"
    a.aws.faults.fail(
        "athena", "GetWorkGroup", code="InvalidRequestException", message="WorkGroup is not found.", times=None
    )


def disabled_workgroup(a: Account) -> None:
    a.answers("athena", GetWorkGroup={"WorkGroup": {"Name": "primary", "State": "DISABLED"}})


def no_results_place(a: Account) -> None:
    a.settings["aws.athena_results"] = ""
    a.answers("athena", GetWorkGroup={"WorkGroup": {"Name": "primary", "State": "ENABLED", "Configuration": {}}})


def other_types(a: Account) -> None:
    columns = [("billingdate", "timestamp"), ("ou", "string"), ("service", "string"), ("linkedaccount", "string")]
    a.glue.delete_table(DatabaseName="finops_db", Name="ou_breakdown")
    a.glue.delete_table(DatabaseName="finops_db", Name="account_ou_map")
    place = f"s3://{BUCKET}/ou-breakdowns/"
    a.create_table("finops_db", "ou_breakdown", [*columns, ("dailycost", "double")], place, ("year", "month", "day"))


def add_partition(a: Account, values: tuple[str, ...], location: str) -> None:
    a.glue.create_partition(
        DatabaseName="finops_db",
        TableName="ou_breakdown",
        PartitionInput={"Values": list(values), "StorageDescriptor": {"Location": location}},
    )


def doubled(a: Account) -> None:
    add_partition(a, ("2025", "09", "10"), f"s3://{BUCKET}/{day_path(DAY).rpartition('/')[0]}/")


def astray(a: Account) -> None:
    add_partition(a, ("2025", "9", "12"), "s3://elsewhere/2025/9/12/")


def a_gap(a: Account) -> None:
    day = date(2025, 9, 14)
    add_partition(a, ("2025", "9", "14"), f"s3://{BUCKET}/{day_path(day).rpartition('/')[0]}/")


def no_bill_table(a: Account) -> None:
    a.settings["bill.table"] = "billing.cur3"


def no_bill_files(a: Account) -> None:
    a.s3.delete_object(Bucket=BILLING, Key="cur2/BILLING_PERIOD=2025-09/cur2-00001.snappy.parquet")


def not_a_bill(a: Account) -> None:
    a.create_table("billing", "orders", [("id", "string"), ("price", "double")], f"s3://{BILLING}/cur2/")
    a.settings["bill.table"] = "billing.orders"


def direct_query(a: Account) -> None:
    a.aws.quicksight.data_sets[DATA_SET].mode = "DIRECT_QUERY"


def no_data_set(a: Account) -> None:
    a.aws.quicksight.data_sets.clear()


def failed_refresh(a: Account) -> None:
    error = {"Type": "IAM_ROLE_NOT_AVAILABLE", "Message": "no role"}
    a.aws.quicksight.ingestions.clear()
    a.ingest(a.aws.quicksight.data_sets[DATA_SET], "daily-1", "FAILED", error=error)


def refresh_that_hangs(a: Account) -> None:
    there = a.aws.quicksight.data_sets[DATA_SET]
    began = a.aws.clock() - timedelta(hours=20)
    a.aws.quicksight.ingestions.append(Ingestion("hangs", there, began, "FULL_REFRESH", status="RUNNING"))


def no_refreshes_left(a: Account) -> None:
    for number in range(31):
        a.ingest(a.aws.quicksight.data_sets[DATA_SET], f"daily-{number}", rows=6)


def few_refreshes_left(a: Account) -> None:
    a.settings["aws.quicksight_edition"] = "standard"
    for number in range(5):
        a.ingest(a.aws.quicksight.data_sets[DATA_SET], f"daily-{number}", rows=6)


def unverified_sender(a: Account) -> None:
    a.settings["mail.sender"] = "finops@example.net"


def sandbox(a: Account) -> None:
    a.aws.mail.sandbox = True
    a.settings["mail.recipients"] = f"{ANNA}, {CARA}"


def suppressed(a: Account) -> None:
    a.ses.put_suppressed_destination(EmailAddress=BEN, Reason="BOUNCE")


def paused(a: Account) -> None:
    a.aws.mail.sending_enabled = False


def quota_used_up(a: Account) -> None:
    a.aws.mail.max_24_hour_send = 1


def no_configuration_set(a: Account) -> None:
    a.aws.mail.configuration_sets.clear()


def unconfirmed(a: Account) -> None:
    a.aws.topics.reset()


def one_unconfirmed(a: Account) -> None:
    a.sns.subscribe(TopicArn=a.settings["aws.sns_topic_arn"], Protocol="email", Endpoint=BEN)


def nobody_subscribed(a: Account) -> None:
    a.settings["aws.sns_topic_arn"] = a.sns.create_topic(Name="quiet")["TopicArn"]


def no_topic(a: Account) -> None:
    a.settings["aws.sns_topic_arn"] += "s"


def open_to_the_public(a: Account) -> None:
    a.s3.delete_public_access_block(Bucket=BUCKET)


def no_organization(a: Account) -> None:
    a.aws.organizations.deny()


def old_organization(a: Account) -> None:
    a.aws.organizations.deny()
    a.s3.put_object(Bucket=BUCKET, Key="organization/accounts.csv", Body=b"account_id\n")


def expired(a: Account) -> None:
    a.aws.faults.fail(
        "*", code="ExpiredTokenException", message="The security token is expired", status=403, times=None
    )


def deny(service: str, operation: str, action: str, resource: str) -> Callable[[Account], None]:
    return lambda account: account.deny(service, operation, action, resource)


ARN = "arn:aws:glue:us-east-1:123456789012:"
SPOILED = [
    ("expired token", expired, "credentials", "fail", "aws sso login"),
    ("missing bucket", no_bucket, "bucket", "fail", "Set it to the archive's bucket"),
    ("bucket of another region", another_region, "bucket", "fail", "Set it to eu-west-1"),
    ("bucket of others", deny("s3", "HeadBucket", "s3:ListBucket", BUCKET), "bucket", "fail", "s3:ListBucket"),
    ("versioning off", no_versions, "versioning", "fail", "put-bucket-versioning --bucket finops-archive"),
    ("not blocked", open_to_the_public, "public access", "warn", "put-public-access-block"),
    (
        "may not write",
        deny("s3", "PutObject", "s3:PutObject", f"arn:aws:s3:::{BUCKET}/_staging/*"),
        "read and write",
        "fail",
        "Allow s3:PutObject on arn:aws:s3:::finops-archive/_staging/doctor/",
    ),
    (
        "may not remove",
        deny("s3", "DeleteObjects", "s3:DeleteObject", f"arn:aws:s3:::{BUCKET}/*"),
        "read and write",
        "fail",
        "Allow s3:DeleteObject",
    ),
    ("no workgroup", no_such_workgroup, "workgroup", "fail", "list-work-groups"),
    ("workgroup disabled", disabled_workgroup, "workgroup", "fail", "Enable it"),
    ("no output location", no_results_place, "workgroup", "fail", "aws.athena_results"),
    (
        "may not query",
        deny("athena", "StartQueryExecution", "athena:StartQueryExecution", f"{ARN}workgroup/primary"),
        "query",
        "fail",
        "Allow athena:StartQueryExecution on",
    ),
    (
        "may not read results",
        deny("athena", "GetQueryResults", "athena:GetQueryResults", f"{ARN}workgroup/primary"),
        "query",
        "fail",
        "Allow athena:GetQueryResults on",
    ),
    (
        "Glue denied",
        deny("glue", "GetTables", "glue:GetTables", f"{ARN}database/finops_db"),
        "tables",
        "fail",
        f"Allow glue:GetTables on {ARN}database/finops_db",
    ),
    ("other column types", other_types, "tables", "fail", "Drop the table"),
    ("doubled partition", doubled, "partitions", "fail", "finops run --date 2025-09-10"),
    ("partition elsewhere", astray, "partitions", "fail", "finops run --date 2025-09-12"),
    ("days missing", a_gap, "partitions", "warn", "finops backfill 2025-09-12 2025-09-13"),
    ("no such bill", no_bill_table, "bill", "fail", "bill.table"),
    ("not a bill", not_a_bill, "bill", "fail", ""),
    ("bill without files", no_bill_files, "bill's files", "fail", "first delivery"),
    (
        "bill cannot be listed",
        lambda a: a.aws.faults.fail(
            "s3",
            "ListObjectsV2",
            code="AccessDenied",
            message="Access Denied",
            status=403,
            times=None,
            when=lambda call: call.params["Bucket"] == BILLING,
        ),
        "bill",
        "fail",
        "s3:ListBucket on arn:aws:s3:::acme-billing",
    ),
    (
        "bill cannot be read",
        lambda a: a.aws.faults.fail(
            "s3",
            "GetObject",
            code="AccessDenied",
            message="Access Denied",
            status=403,
            times=None,
            when=lambda call: call.params["Bucket"] == BILLING,
        ),
        "bill's files",
        "fail",
        "Allow s3:GetObject on arn:aws:s3:::acme-billing/cur2/",
    ),
    ("organization denied", no_organization, "organization", "fail", "aws.organizations_role_arn"),
    ("organization as last seen", old_organization, "organization", "warn", "organizations:ListRoots"),
    ("no data set", no_data_set, "data set", "fail", "list-data-sets"),
    ("direct query", direct_query, "data set", "fail", "SPICE"),
    ("failed refresh", failed_refresh, "last refresh", "fail", "service role"),
    ("a refresh that hangs", refresh_that_hangs, "refresh under way", "fail", "--ingestion-id hangs`"),
    ("no refreshes left", no_refreshes_left, "refreshes", "fail", "finops backfill"),
    ("few refreshes left", few_refreshes_left, "refreshes", "warn", "finops backfill"),
    (
        "unverified sender",
        unverified_sender,
        "sender",
        "fail",
        "create-email-identity --email-identity finops@example.net",
    ),
    ("recipient in the sandbox", sandbox, "recipients", "fail", f"create-email-identity --email-identity {CARA}"),
    ("suppressed", suppressed, "suppression", "fail", f"delete-suppressed-destination --email-address {BEN}"),
    ("sending paused", paused, "ses account", "fail", "put-account-sending-attributes"),
    ("quota used up", quota_used_up, "ses account", "fail", "quota"),
    ("no configuration set", no_configuration_set, "configuration set", "fail", "aws.ses_configuration_set"),
    ("nobody confirmed", unconfirmed, "alerts", "fail", f"Let {ANNA} follow the link"),
    ("one not confirmed", one_unconfirmed, "alerts", "warn", f"Let {BEN} follow the link"),
    ("nobody subscribed", nobody_subscribed, "alerts", "fail", "aws sns subscribe --topic-arn"),
    ("no topic", no_topic, "alerts", "fail", "list-topics"),
]


@pytest.mark.parametrize(("what", "spoil", "name", "state", "fix"), SPOILED, ids=[case[0] for case in SPOILED])
def test_each_fault_is_one_finding_that_says_what_to_do(
    account: Account, what: str, spoil: Callable[[Account], None], name: str, state: str, fix: str
) -> None:
    """What is broken is found where it is, and nothing else is blamed for it but what cannot work without it."""
    # The contract names the bucket: another one is another place for its tables and days.
    follows = {"workgroup": {"query"}, "bucket": {"tables", "partitions"}, "bill's files": {"query"}}
    spoil(account)
    findings = account.doctor()
    assert fix in the(findings, name, state).fix
    assert set(of(findings, "fail")) - {name} <= follows.get(name, set())


LOOKS = [
    ("s3", "GetBucketVersioning", "s3:GetBucketVersioning", f"arn:aws:s3:::{BUCKET}", "versioning"),
    ("s3", "GetPublicAccessBlock", "s3:GetBucketPublicAccessBlock", f"arn:aws:s3:::{BUCKET}", "public access"),
    ("athena", "GetWorkGroup", "athena:GetWorkGroup", f"{ARN}workgroup/primary", "workgroup"),
    ("quicksight", "DescribeDataSet", "quicksight:DescribeDataSet", f"{ARN}dataset/x", "data set"),
    ("sesv2", "GetAccount", "ses:GetAccount", "*", "ses account"),
    ("sesv2", "GetEmailIdentity", "ses:GetEmailIdentity", f"{ARN}identity/example.com", "sender"),
    ("sesv2", "GetSuppressedDestination", "ses:GetSuppressedDestination", "*", "suppression"),
    ("sesv2", "GetConfigurationSet", "ses:GetConfigurationSet", "*", "configuration set"),
    ("sns", "ListSubscriptionsByTopic", "sns:ListSubscriptionsByTopic", TOPIC, "alerts"),
]


@pytest.mark.parametrize(("service", "operation", "action", "resource", "name"), LOOKS, ids=[c[1] for c in LOOKS])
def test_what_only_doctor_may_not_look_at_is_skipped(
    account: Account, service: str, operation: str, action: str, resource: str, name: str
) -> None:
    """The platform works without these permissions: the line names action and resource, and no check fails."""
    account.deny(service, operation, action, resource)
    findings = account.doctor()
    assert of(findings, "fail") == []
    assert f"Allow {action} on {resource}" in the(findings, name, "skip").fix


EXPORTS = [
    ({"StatusCode": "HEALTHY", "LastRefreshedAt": 1757487600}, "ok", "2025-09-10 07:00 UTC", "it is delivered"),
    ({"StatusCode": "UNHEALTHY", "StatusReason": "BILL_OWNER_CHANGED"}, "warn", "BILL_OWNER_CHANGED", "it is not"),
]


@pytest.mark.parametrize(("status", "state", "said", "reason"), EXPORTS, ids=[case[3] for case in EXPORTS])
def test_why_an_export_is_late_is_told_where_aws_tells(
    account: Account, status: dict[str, Any], state: str, said: str, reason: str
) -> None:
    """The export's own status stands beside the age of its files."""
    export = {"ExportArn": "arn:aws:bcm", "ExportName": "cur2", "ExportStatus": status}
    account.answers("bcm-data-exports", ListExports={"Exports": [export]})
    assert said in the(account.doctor(), "data exports", state).detail


AGES = [
    (timedelta(hours=20), "ok", "exports come up to three times a day"),
    (timedelta(hours=30), "warn", "a day without a new file is late"),
    (timedelta(hours=50), "fail", "two days are a fault"),
]


@pytest.mark.parametrize(("age", "state", "reason"), AGES, ids=[case[2] for case in AGES])
def test_a_bill_that_is_no_longer_delivered_is_seen(account: Account, age: timedelta, state: str, reason: str) -> None:
    """The age of the newest file is told in hours."""
    preflight = account.platform().preflight
    preflight._clock = lambda: datetime.now(UTC) + age
    assert f"{age.total_seconds() / 3600:.0f} h old" in the(list(preflight.check()), "bill's files", state).detail


def test_a_defect_is_not_taken_for_a_finding(account: Account) -> None:
    """What nobody foresaw is raised: a doctor that hides its own illness cannot be trusted."""
    preflight = account.platform().preflight
    preflight._warehouse = None
    with pytest.raises(AttributeError):
        list(preflight.check())


def test_what_spice_holds_is_told_without_a_refresh(account: Account) -> None:
    """A refresh of what is registered gives rows and newest day; of an older state, the rows show that it is not."""
    now = account.platform().preflight.shown()
    assert (now.newest_day, now.rows, now.expected_rows) == (NEXT, 6, 6)
    add_partition(account, ("2025", "9", "12"), f"s3://{BUCKET}/{day_path(TODAY).rpartition('/')[0]}/")
    older = account.platform().preflight.shown()
    assert (older.newest_day, older.rows) == (None, 6)
    assert not account.aws.calls.count("quicksight", "CreateIngestion")


def test_a_data_set_that_was_never_refreshed_shows_nothing(account: Account) -> None:
    """There is nothing to compare before the first refresh."""
    account.aws.quicksight.ingestions.clear()
    assert account.platform().preflight.shown() is None


def test_the_page_in_the_bucket_is_read_where_there_is_no_quicksight(account: Account, home: Home) -> None:
    """Newest day and exact totals are those of the page's own figures."""
    account.settings["aws.quicksight_data_set"] = ""
    preflight = account.platform().preflight
    assert preflight.shown() is None
    page = home.platform.settings.dashboard_file.read_bytes()
    account.s3.put_object(Bucket=BUCKET, Key="dashboard/dashboard.html", Body=page)
    assert preflight.shown().totals == {DAY: Decimal("12.5")}
    assert preflight.shown().newest_day == DAY


def test_a_table_that_is_missing_beside_others_is_not_made(account: Account) -> None:
    """GlueTables makes what is missing when it is asked to; the doctor does not ask."""
    account.glue.delete_table(DatabaseName="finops_db", Name="account_ou_map")
    said = " ".join(finding.detail for finding in account.doctor() if finding.name == "tables")
    assert "account_ou_map is not there yet" in said
    assert "ou_breakdown is as agreed" in said
    assert not account.aws.calls.count("glue", "CreateTable")


def test_without_credentials_nothing_else_is_asked(account: Account) -> None:
    """An expired login is one finding, not thirty."""
    expired(account)
    assert [(f.name, f.state) for f in account.doctor()] == [("credentials", "fail"), ("everything else", "skip")]
    assert account.aws.calls.counts() == {("sts", "GetCallerIdentity"): 1}

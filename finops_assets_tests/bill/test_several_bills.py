"""Several bills as one: each proved by itself and their union too, through the real command, by figures by hand."""

from __future__ import annotations

import json
import os
from datetime import UTC, date, datetime
from decimal import Decimal
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result

from finops_assets.adapters.local.warehouse import DuckDBWarehouse
from finops_assets.adapters.shared.archive import ObjectArchive, folder_store
from finops_assets.core.values import PublishedDay
from finops_assets.platform import build_platform
from finops_assets.settings.load import load_settings
from finops_assets_tests.support.bills import Line, at, line, make_bill
from finops_assets_tests.support.command import finops

pytestmark = pytest.mark.usefixtures("records_in_memory")

FIRST, SECOND = date(2025, 9, 9), date(2025, 9, 10)
NOW = datetime(2025, 9, 11, 7, tzinfo=UTC)
PAYER_1, PAYER_2, AZURE = "111111111111", "222222222222", "8611537"
IN_PAYER_1 = {"bill/PayerAccountId": PAYER_1}
IN_PAYER_2 = {"BillingAccountId": PAYER_2, "ProviderName": "AWS"}
IN_AZURE = {"BillingAccountId": AZURE, "ProviderName": "Microsoft"}

SETTINGS = """
[[bill]]
name = "payer-1"
path = "payer1"
cost_basis = "billed"

[[bill]]
name = "payer-2"
path = "payer2"

[[bill]]
name = "azure"
path = "azure"
"""


def cur_lines(second_day: str = "4.10", payer: str = PAYER_1) -> list[Line]:
    of = {"bill/PayerAccountId": payer}
    return [
        line("10.25", start=at(FIRST), service="AmazonEC2", account="100000000001", extra=of),
        line("0.75", start=at(FIRST), service="AmazonS3", account="100000000009", extra=of),
        line(second_day, start=at(SECOND), service="AmazonEC2", account="100000000001", extra=of),
    ]


PAYER_2_LINES = [
    line(
        "1.000000000001",
        start=at(FIRST),
        service="Amazon Simple Storage Service",
        account="100000000009",
        extra=IN_PAYER_2,
    ),
    line("20", start=at(FIRST), service="Amazon Relational Database Service", account="100000000002", extra=IN_PAYER_2),
    line(
        "21.5", start=at(SECOND), service="Amazon Relational Database Service", account="100000000002", extra=IN_PAYER_2
    ),
    line(
        "-1.5",
        start=at(SECOND),
        service="Amazon Relational Database Service",
        account="100000000002",
        category="Credit",
        extra=IN_PAYER_2,
    ),
]
AZURE_LINES = [
    line("7.77", start=at(FIRST), service="Virtual Machines", account="sub-a", extra=IN_AZURE),
    line("8.88", start=at(SECOND), service="Virtual Machines", account="sub-a", extra=IN_AZURE),
]

ROWS = {
    FIRST: [
        ("Amazon Elastic Compute Cloud", "100000000001", "10.25"),
        ("Amazon Relational Database Service", "100000000002", "20"),
        (
            "Amazon Simple Storage Service",
            "100000000009",
            "1.750000000001",
        ),  # 0.75 of payer-1 and 1.000000000001 of payer-2
        ("Virtual Machines", "sub-a", "7.77"),
    ],
    SECOND: [
        ("Amazon Elastic Compute Cloud", "100000000001", "4.10"),
        ("Amazon Relational Database Service", "100000000002", "20"),  # 21.50 less a credit of 1.50
        ("Virtual Machines", "sub-a", "8.88"),
    ],
}
"""39.770000000001 and 32.98; together 72.750000000001."""


def make_home(home: Path) -> Path:
    make_bill(home / "payer1", cur_lines(), "cur", "csv")
    make_bill(home / "payer2", PAYER_2_LINES, "focus", "csv.gz")
    make_bill(home / "azure", AZURE_LINES, "focus", "parquet")
    (home / "finops.toml").write_text(SETTINGS, encoding="utf-8")
    return home


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """Three bills, of which nothing is archived yet."""
    return make_home(tmp_path)


def command(home: Path, *words: str, **environment: str) -> Result:
    return finops(*words, cwd=home, now=NOW, **environment)


def archive_of(home: Path) -> ObjectArchive:
    return ObjectArchive(folder_store(str(home / ".finops" / "archive")))


def archived(home: Path, day: date) -> PublishedDay:
    published = archive_of(home).describe(day)
    assert published
    return published


def rows(home: Path, day: date) -> list[tuple[str, str, Decimal]]:
    table = archive_of(home).read([day]).to_pylist()
    return [(row["service"], row["linkedaccount"], row["cost"]) for row in table]


def mails(home: Path) -> list[EmailMessage]:
    files = sorted((home / ".finops" / "outbox").glob("*.eml"))
    return [message_from_bytes(file.read_bytes(), policy=policy.default) for file in files]


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory, records_in_memory: Any) -> Path:
    """The home after one backfill; tests only read it."""
    home = make_home(tmp_path_factory.mktemp("several"))
    assert command(home, "backfill").exit_code == 0
    return home


def exact(day: date) -> list[tuple[str, str, Decimal]]:
    return [(service, account, Decimal(cost)) for service, account, cost in ROWS[day]]


def test_the_union_is_archived_exactly(done: Path) -> None:
    """A row for each OU, service and account, whichever bills it is of, in archive order."""
    for day, total in ((FIRST, "39.770000000001"), (SECOND, "32.98")):
        assert rows(done, day) == exact(day)
        assert archived(done, day).total == Decimal(total)
    answer = command(done, "query", "SELECT CAST(SUM(cost) AS VARCHAR) AS cost FROM finops_daily_summary", "--json")
    assert json.loads(answer.stdout) == [{"cost": "72.750000000001"}]


def test_each_day_says_what_is_of_which_bill(done: Path) -> None:
    """By name, provider, lines and exact total."""
    metadata = archived(done, SECOND).metadata
    assert json.loads(metadata["bills"]) == [
        ["payer-1", "AWS", 1, "4.1"],
        ["payer-2", "AWS", 2, "20"],
        ["azure", "Microsoft", 1, "8.88"],
    ]
    assert json.loads(metadata["providers"]) == ["AWS", "Microsoft"]
    assert (metadata["source_lines"], metadata["source_total"]) == ("4", "32.98")


def test_each_bill_is_covered_by_itself(done: Path) -> None:
    """What it has is what the archive has of it."""
    coverage = json.loads(command(done, "status", "--json").stdout)["coverage"]
    assert {of["name"]: (of["bill"], of["archived"]) for of in coverage["bills"]} == {
        name: ({"lines": lines, "total": total}, {"lines": lines, "total": total})
        for name, lines, total in (("payer-1", 3, "15.1"), ("payer-2", 4, "41.000000000001"), ("azure", 2, "16.65"))
    }
    assert coverage["parts"] == []


def test_texts_name_the_providers_and_the_digest_brings_what_is_of_which_bill(done: Path) -> None:
    """No Microsoft line is called AWS's; the CSV keeps its columns, and a small one beside it has a row a bill."""
    [mail] = mails(done)
    text, html = (mail.get_body((kind,)).get_content() for kind in ("plain", "html"))
    for shown in (text, html):
        assert "AWS and Microsoft cost by organizational unit" in shown
        assert "AWS and Microsoft may still change it" in shown
        assert "azure (Microsoft): 8.88 USD" in shown
    files = {part.get_filename(): part.get_content() for part in mail.iter_attachments()}
    assert files["ou_breakdown_2025-09-10.csv"].lstrip("\ufeff").splitlines()[0].count(",") == 5
    assert files["bills_2025-09-10.csv"].lstrip("\ufeff").splitlines() == [
        "BillingDate,Bill,Provider,Lines,Cost,Currency,CostBasis",
        "2025-09-10,payer-1,AWS,1,4.1,USD,billed",
        "2025-09-10,payer-2,AWS,2,20,USD,billed",
        "2025-09-10,azure,Microsoft,1,8.88,USD,billed",
    ]
    assert "<h1>AWS and Microsoft cost by organizational unit</h1>" in (done / ".finops/dashboard.html").read_text()


def test_doctor_checks_each_bill_and_all_together(done: Path) -> None:
    """A line a bill, by its name."""
    found = {of["name"]: of["state"] for of in json.loads(command(done, "doctor", "--json").stdout)}
    assert [found[f"bill {name}"] for name in ("payer-1", "payer-2", "azure")] == ["ok"] * 3
    assert found["bills"] == "ok"


def test_a_line_that_one_bill_restates_is_archived_anew_and_other_days_are_not(home: Path) -> None:
    """Four dollars ten become five thirty-five; the bill is named before, and the union is exact again after."""
    command(home, "backfill")
    before = archived(home, FIRST)
    make_bill(home / "payer1", cur_lines("5.35"), "cur", "csv")
    gaps = command(home, "gaps")
    assert gaps.exit_code == 1
    assert "the bill payer-1 has changed" in gaps.output
    command(home, "backfill")
    assert archived(home, FIRST).version == before.version
    assert archived(home, SECOND).total == Decimal("34.23")
    assert rows(home, SECOND)[0] == ("Amazon Elastic Compute Cloud", "100000000001", Decimal("5.35"))
    assert json.loads(archived(home, SECOND).metadata["bills"])[0] == ["payer-1", "AWS", 1, "5.35"]
    assert command(home, "gaps").exit_code == 0


@pytest.mark.parametrize(("in_cur", "in_focus"), [(PAYER_2, PAYER_2), ("12345678901", "012345678901")])
def test_a_payers_month_in_two_bills_is_refused_before_anything_is_archived(
    home: Path, in_cur: str, in_focus: str
) -> None:
    """Whatever the formats, and the spelling of the payer: both bills, the payer and the month are named."""
    make_bill(home / "payer1", cur_lines(payer=in_cur), "cur", "csv")
    make_bill(home / "payer2", [line(1, start=at(FIRST), extra={"BillingAccountId": in_focus})], "focus", "csv.gz")
    done = command(home, "backfill")
    assert done.exit_code != 0
    for word in ("payer-1", "payer-2", in_focus, "2025-09", "twice"):
        assert word in done.output
    assert archive_of(home).days() == []
    assert "payer-1" in command(home, "doctor").output


def test_bills_in_two_currencies_are_refused_and_the_setting_chooses(home: Path) -> None:
    """Each currency with its bill; with bill.currency, the other bill is left out and counted."""
    lines = [
        line(of.cost, start=of.start, service="VM", account="a", currency="EUR", extra=IN_AZURE) for of in AZURE_LINES
    ]
    make_bill(home / "azure", lines, "focus", "parquet")
    refused = command(home, "backfill")
    assert refused.exit_code != 0
    for word in ("EUR", "USD", "azure", "bill.currency"):
        assert word in refused.output
    assert command(home, "backfill", FINOPS_BILL__CURRENCY="USD").exit_code == 0
    assert archived(home, SECOND).total == Decimal("24.1")
    assert json.loads(archived(home, SECOND).metadata["left_out"]) == [["bill.currency is USD", 1, "8.88", "EUR"]]
    [mail] = mails(home)
    assert "1 line(s), 8.88 EUR: bill.currency is USD" in mail.get_body(("plain",)).get_content()


def test_a_day_waits_for_the_bill_that_was_written_before_it_was_over(home: Path) -> None:
    """The others have it: the late one is named, and the day before is archived."""
    noon = datetime(2025, 9, 10, 12, tzinfo=UTC).timestamp()
    os.utime(home / "azure" / "focus.parquet", (noon, noon))
    done = command(home, "backfill")
    assert "2025-09-10 (the newest export of the bill azure was written 2025-09-10 12:00 UTC" in done.output
    assert archive_of(home).days() == [FIRST]
    assert "azure" in command(home, "gaps").output
    assert "the bill azure" in command(home, "run", "--date", str(SECOND)).output
    ended = SETTINGS + 'last_day = "2025-08-31"\n'
    (home / "finops.toml").write_text(ended, encoding="utf-8")
    assert command(home, "backfill").exit_code == 0
    assert archive_of(home).days() == [FIRST, SECOND]


def test_a_day_waits_for_a_bill_that_was_written_but_does_not_have_it_yet(tmp_path: Path) -> None:
    """Azure's lines come a day later: nothing half is archived, nothing runs by itself, and `gaps` names it."""
    home = make_home(tmp_path)
    days = [date(2025, 9, day) for day in (7, 8, 9, 10)]
    for folder, account, extra, last in (
        ("payer2", "100000000002", IN_PAYER_2, 4),
        ("azure", "sub-a", IN_AZURE, 3),
    ):
        lines = [line("5", start=at(day), account=account, extra=extra) for day in days[:last]]
        (home / folder).rename(home / f"old-{folder}")
        make_bill(home / folder, lines, "focus", "csv")
    done = command(home, "backfill")
    assert "2025-09-10 (the bill azure has no charges on it yet" in done.output
    assert archive_of(home).days() == days[:3]
    platform = build_platform(load_settings({}, folder=home), lambda: NOW)
    news = platform.watch.news(NOW)
    assert news is not None
    assert (news.new, news.restated) == ((), ())
    inspection = platform.inspector.cheap(NOW)
    assert (inspection.states[SECOND].cause, "azure" in inspection.states[SECOND].detail) == ("source late", True)
    assert inspection.coverage is not None
    assert [(part.days, part.fault) for part in inspection.coverage.parts] == [((SECOND,), False)]
    later = datetime(2025, 9, 13, 7, tzinfo=UTC)  # over for two days
    assert SECOND in platform.inspector.thorough(later).facts.covered


def test_a_bill_that_cannot_be_read_is_named_with_its_own_settings(home: Path) -> None:
    """So that nobody looks for the fault in another."""
    (home / "azure" / "focus.parquet").unlink()
    done = command(home, "backfill")
    assert done.exit_code != 0
    assert "the bill azure" in done.output
    gone = SETTINGS.replace('"azure"\npath = "azure"', '"azure"\npath = "nowhere"')
    (home / "finops.toml").write_text(gone, encoding="utf-8")
    done = command(home, "backfill")
    assert "FINOPS_BILL__AZURE__PATH" in done.output


def test_a_single_bill_of_another_provider_is_named_so_and_read_as_before(tmp_path: Path) -> None:
    """No composite where there is one, and no provenance of bills."""
    make_bill(tmp_path / "azure", AZURE_LINES, "focus", "parquet")
    (tmp_path / "finops.toml").write_text('[[bill]]\npath = "azure"\n', encoding="utf-8")
    platform = build_platform(load_settings({}, folder=tmp_path))
    assert type(platform.warehouse) is DuckDBWarehouse
    assert command(tmp_path, "backfill").exit_code == 0
    metadata = archived(tmp_path, SECOND).metadata
    assert json.loads(metadata["providers"]) == ["Microsoft"]
    assert "bills" not in metadata
    [mail] = mails(tmp_path)
    assert "Microsoft cost by organizational unit" in mail.get_body(("plain",)).get_content()
    assert "AWS" not in mail.get_body(("plain",)).get_content()

"""Two tables of Athena as one bill, on the stand-in: a legacy CUR of AWS and a FOCUS export of Microsoft."""

from __future__ import annotations

import json
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from finops_assets.core.errors import SettingsError
from finops_assets.core.findings import Finding
from finops_assets.platform import Platform, build_platform
from finops_assets.settings.load import load_settings
from finops_assets_tests.support.bills import Line, archive_days, at, line, make_bill
from finops_assets_tests.support.on_aws import make_ready, on_aws, run
from standin.bills import load_bill
from standin.server import StandIn

pytestmark = pytest.mark.usefixtures("records_in_memory")

DAY = date(2025, 9, 10)
BEFORE = DAY - timedelta(days=1)
OF_AWS = {"bill/PayerAccountId": "111111111111"}
OF_AZURE = {"BillingAccountId": "8611537", "ProviderName": "Microsoft"}
AZURE = [
    line("7.77", start=at(BEFORE), service="Virtual Machines", account="sub-a", extra=OF_AZURE),
    line("8.88", start=at(DAY), service="Virtual Machines", account="sub-a", extra=OF_AZURE),
    line(
        "0.000000000001", start=at(DAY), service="Amazon Simple Storage Service", account="100000000009", extra=OF_AZURE
    ),
]


def cur(amount: str) -> list[Line]:
    return [
        line("10.25", start=at(BEFORE), service="Amazon Elastic Compute Cloud", account="100000000001", extra=OF_AWS),
        line(amount, start=at(DAY), service="Amazon Elastic Compute Cloud", account="100000000001", extra=OF_AWS),
        line("1", start=at(DAY), service="Amazon Simple Storage Service", account="100000000009", extra=OF_AWS),
    ]


def platform_of(stand_in: StandIn, home: Path, **bills: str) -> Platform:
    """A platform over these tables, each bill by its name."""
    environ = on_aws(stand_in, home)
    del environ["FINOPS_BILL__TABLE"]
    environ |= {f"FINOPS_BILL__{name.upper()}__TABLE": table for name, table in bills.items()}
    (home / "accounts.csv").write_text("account_id,account_name,ou_path\n100000000001,shop,Dev\n", encoding="utf-8")
    environ["FINOPS_ACCOUNTS__PATH"] = str(home / "accounts.csv")
    return build_platform(load_settings(environ, folder=home))


@pytest.fixture
def platform(aws: StandIn, tmp_path: Path) -> Platform:
    make_ready(aws, make_bill(tmp_path / "aws", cur("4.10"), "cur"), table="billing.cur")
    load_bill(aws, make_bill(tmp_path / "azure", AZURE, "focus"), table="billing.azure", bucket="azure-bucket")
    return platform_of(aws, tmp_path, aws="billing.cur", azure="billing.azure")


def rows(platform: Platform, day: date) -> list[tuple[str, str, str, Decimal]]:
    table = platform.archive.read([day]).to_pylist()
    return [(row["ou"], row["service"], row["linkedaccount"], row["cost"]) for row in table]


def test_two_tables_are_one_bill(platform: Platform, aws: StandIn, tmp_path: Path) -> None:
    """Days exact, with what is of which bill; the view has all lines; what one bill restates is archived anew."""
    assert run(platform, BEFORE, DAY).errors == ()
    assert rows(platform, DAY) == [
        ("Dev", "Amazon Elastic Compute Cloud", "100000000001", Decimal("4.10")),
        ("Unassigned", "Amazon Simple Storage Service", "100000000009", Decimal("1.000000000001")),
        ("Unassigned", "Virtual Machines", "sub-a", Decimal("8.88")),
    ]
    before = platform.archive.describe(BEFORE)
    metadata = platform.archive.describe(DAY).metadata
    assert json.loads(metadata["bills"]) == [["aws", "AWS", 2, "5.1"], ["azure", "Microsoft", 2, "8.880000000001"]]
    _, [(total, lines)] = platform.catalog.query("SELECT SUM(cost), COUNT(*) FROM finops_db.finops_daily_summary")
    assert (total, lines) == (Decimal("32.000000000001"), 6)
    inspection = platform.inspector.thorough(platform.clock(), [BEFORE, DAY])
    assert {day: state.as_in_bill for day, state in inspection.states.items()} == {BEFORE: True, DAY: True}

    changed = make_bill(tmp_path / "aws", cur("5.35"), "cur")
    aws.client("s3").put_object(Bucket="a-bill-bucket", Key="cur/cur.parquet", Body=changed.read_bytes())
    platform = platform_of(aws, tmp_path, aws="billing.cur", azure="billing.azure")
    inspection = platform.inspector.thorough(platform.clock(), [BEFORE, DAY])
    assert {day: state.as_in_bill for day, state in inspection.states.items()} == {BEFORE: True, DAY: False}
    archive_days(platform.warehouse, platform.archive, [BEFORE, DAY])
    assert platform.archive.describe(DAY).total == Decimal("15.230000000001")
    assert platform.archive.describe(BEFORE).version == before.version


def test_a_payers_month_in_two_tables_is_refused(aws: StandIn, tmp_path: Path) -> None:
    """Before anything is archived; the doctor says it, too, beside what it says of each."""
    make_ready(aws, make_bill(tmp_path / "aws", cur("4.10"), "cur"), table="billing.cur")
    again = [line(1, start=at(DAY), extra={"BillingAccountId": "111111111111"})]
    load_bill(aws, make_bill(tmp_path / "again", again, "focus"), table="billing.again", bucket="again-bucket")
    platform = platform_of(aws, tmp_path, aws="billing.cur", again="billing.again")
    [error] = run(platform, DAY).errors
    for word in ("aws and again", "111111111111", "2025-09"):
        assert word in str(error)
    assert platform.archive.days() == []
    found: dict[str, Finding] = {of.name: of for of in platform.preflight.check()}
    assert [found[name].state for name in ("bill aws", "bill again", "bills")] == ["ok", "ok", "fail"]


@pytest.mark.parametrize(
    ("tables", "word"),
    [
        ({"one": "billing.cur", "other": "billing.cur"}, "billing.cur"),
        ({"one": "billing.cur", "other": ""}, "FINOPS_BILL__OTHER__TABLE"),
        ({"one": "billing.cur", "other": "finops_db.finops_daily_summary"}, "finops_daily_summary"),
    ],
)
def test_tables_that_cannot_be_bills_of_their_own_are_refused(
    aws: StandIn, tmp_path: Path, tables: dict[str, str], word: str
) -> None:
    """One that is there twice, is not set, or is the view over all."""
    with pytest.raises(SettingsError) as refused:
        platform_of(aws, tmp_path, **tables)
    assert word in str(refused.value)

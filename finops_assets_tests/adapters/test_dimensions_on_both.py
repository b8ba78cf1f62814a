"""A day by tag, cost category and account attribute: one object on both platforms, which sums to the day by each."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path

import pytest

from finops_assets.core.accounts.account_map import to_parquet
from finops_assets.core.archive.publishing import archive_days
from finops_assets.core.schemas import ACCOUNT_MAP_PATH, DIMENSIONS, dimensions_path
from finops_assets.core.values import PublishedDay
from finops_assets.platform import Platform, build_platform
from finops_assets.settings.load import load_settings
from finops_assets.stories.sample_bill import SampleBill, write_sample_bill
from finops_assets_tests.support.bills import account_map
from finops_assets_tests.support.on_aws import make_ready, objects, platform_on
from standin.server import StandIn

DAY = date(2025, 9, 10)
NOW = datetime(2025, 9, 20, 7, tzinfo=UTC)
KEYS = ("account:business_unit", "cost_category:Product", "tag:team")
TOTALS = f"""SELECT dimension, SUM(cost) FROM dimension_breakdown
WHERE year = {DAY.year} AND month = {DAY.month} AND day = {DAY.day} GROUP BY dimension ORDER BY dimension"""

ON_DAY = f"WHERE year = {DAY.year} AND month = {DAY.month} AND day = {DAY.day}"
SCORED = f"SELECT dimension, SUM(daycost) FROM dimension_scorecard {ON_DAY} GROUP BY dimension ORDER BY dimension"
LIGHTS = f"SELECT dimension, value, light FROM dimension_scorecard {ON_DAY} ORDER BY dimension, light DESC, value"


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> SampleBill:
    return write_sample_bill(tmp_path_factory.mktemp("sample") / "bill", DAY, 2)


def embedded(home: Path, sample: SampleBill, **given: str) -> Platform:
    settings = {
        "FINOPS_HOME": str(home / "home"),
        "FINOPS_BILL__PATH": str(sample.cur2),
        "FINOPS_BILL__FIRST_DAY": str(DAY),
        "FINOPS_ACCOUNTS__PATH": str(sample.accounts),
        "FINOPS_DIMENSIONS__KEYS": ",".join(KEYS),
        **given,
    }
    return build_platform(load_settings(settings, folder=home))


def archived(platform: Platform) -> PublishedDay:
    platform.archive.put(ACCOUNT_MAP_PATH, to_parquet(platform.accounts.load().table))
    done = archive_days(platform.warehouse, platform.archive, [DAY], cost_basis="billed", run_id="a run", now=NOW)
    assert done.refused == {}
    platform.catalog.register(done.published.values())
    return done.published[DAY]


def test_both_platforms_archive_the_same_values(aws: StandIn, sample: SampleBill, tmp_path: Path) -> None:
    """Three dimensions, each of which sums to the day, through the tables that people query."""
    make_ready(aws, sample.cur2)
    on_aws = platform_on(aws, tmp_path, accounts__path=str(sample.accounts), dimensions__keys=",".join(KEYS))
    here = embedded(tmp_path, sample)
    days = [archived(platform) for platform in (on_aws, here)]
    assert days[0].metadata[DIMENSIONS] == days[1].metadata[DIMENSIONS]
    assert objects(aws, "dimension-breakdowns/") == [dimensions_path(DAY)]
    for platform, day in zip((on_aws, here), days, strict=True):
        totals = platform.catalog.query(TOTALS)[1]
        assert [(key, Decimal(total)) for key, total in totals] == [(key, day.total) for key in KEYS]
        assert day.total > 1000
    rows = here.archive.dimensions(DAY, days[1].metadata[DIMENSIONS])
    values = {key: set() for key in KEYS}
    for row in rows.to_pylist():
        values[row["dimension"]].add(row["value"])
    assert values["account:business_unit"] == {"Commerce", "Insights", "Technology", "(untagged)"}
    assert values["cost_category:Product"] == {"Foundation", "Storefront", "(untagged)"}
    assert {"shop", "ml", "(untagged)"} < values["tag:team"]
    assert rows.equals(on_aws.archive.dimensions(DAY, days[0].metadata[DIMENSIONS]))


def test_one_pass_over_the_bill_has_them(aws: StandIn, sample: SampleBill, tmp_path: Path) -> None:
    """No query more than a day without dimensions."""
    make_ready(aws, sample.cur2)
    asked = []
    for keys in ("", "tag:team,tag:environment,cost_category:Product"):
        home = tmp_path / f"home{len(asked)}"
        home.mkdir()
        warehouse = platform_on(aws, home, accounts__path=str(sample.accounts), dimensions__keys=keys).warehouse
        aws.calls.reset()
        warehouse.source_days(DAY, DAY)
        list(warehouse.breakdown(DAY, DAY, account_map()))
        asked.append(aws.calls.count("athena", "StartQueryExecution"))
    assert asked[0] == asked[1]


def test_both_platforms_score_the_same_values(aws: StandIn, sample: SampleBill, tmp_path: Path) -> None:
    """Each value against its budget, in a table of its own: that of OUs keeps its sums."""
    budgets = tmp_path / "budgets.csv"
    budgets.write_text(f"ou,month,amount,currency\n{KEYS[0]}=Commerce,default,1,USD\n", encoding="utf-8")
    make_ready(aws, sample.cur2)
    of_both = {
        "accounts__path": str(sample.accounts),
        "dimensions__keys": ",".join(KEYS),
        "budgets__path": str(budgets),
    }
    given = {"FINOPS_BUDGETS__PATH": str(budgets)}
    answers = []
    for platform in (platform_on(aws, tmp_path, **of_both), embedded(tmp_path, sample, **given)):
        day = archived(platform)
        platform.scoring.score([DAY], NOW)
        totals = platform.catalog.query(SCORED)[1]
        assert [(key, Decimal(total)) for key, total in totals] == [(key, day.total) for key in KEYS]
        ((of_ous,),) = platform.catalog.query(f"SELECT SUM(directcost) FROM ou_scorecard {ON_DAY}")[1]
        assert Decimal(of_ous) == day.total
        answers.append(platform.catalog.query(LIGHTS)[1])
    assert answers[0] == answers[1]
    assert answers[0][0] == (KEYS[0], "Commerce", "red")
    assert {light for _, value, light in answers[0] if value != "Commerce"} == {"no budget"}

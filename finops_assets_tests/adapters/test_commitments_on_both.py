"""A day's Savings Plans and reservations: one object on both platforms, in the tables that people query."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path

from finops_assets.core.accounts.account_map import to_parquet
from finops_assets.core.archive.publishing import archive_days
from finops_assets.core.schemas import ACCOUNT_MAP_PATH, COMMITTED, commitments_path
from finops_assets.core.values import PublishedDay
from finops_assets.platform import Platform, build_platform
from finops_assets.settings.load import load_settings
from finops_assets.stories.sample_bill import SampleBill, write_sample_bill
from finops_assets_tests.support.bills import account_map
from finops_assets_tests.support.on_aws import make_ready, objects, platform_on
from standin.server import StandIn

DAY = date(2025, 9, 1)
NOW = datetime(2025, 9, 20, 7, tzinfo=UTC)
TOTALS = f"""SELECT SUM(usedcost), SUM(unusedcost), SUM(committedcost), COUNT(DISTINCT commitmentid) FROM commitments
WHERE kind <> 'on demand' AND year = {DAY.year} AND month = {DAY.month} AND day = {DAY.day}"""
CHARGED = f"""SELECT SUM(committedcost), SUM(unusedcommitment) FROM ou_charges
WHERE year = {DAY.year} AND month = {DAY.month} AND day = {DAY.day}"""


def archived(platform: Platform) -> PublishedDay:
    platform.archive.put(ACCOUNT_MAP_PATH, to_parquet(platform.accounts.load().table))
    done = archive_days(platform.warehouse, platform.archive, [DAY], cost_basis="billed", run_id="a run", now=NOW)
    assert done.refused == {}
    platform.catalog.register(done.published.values())
    return done.published[DAY]


def test_both_platforms_archive_the_same_commitments(aws: StandIn, tmp_path: Path) -> None:
    """The first of a month, which has what nobody used of reservations; read with the one pass that a day has."""
    sample: SampleBill = write_sample_bill(tmp_path / "bill", DAY, 2)
    settings = {
        "FINOPS_HOME": str(tmp_path / "home"),
        "FINOPS_BILL__PATH": str(sample.cur2),
        "FINOPS_BILL__FIRST_DAY": str(DAY),
        "FINOPS_ACCOUNTS__PATH": str(sample.accounts),
    }
    make_ready(aws, sample.cur2)
    on_aws = platform_on(aws, tmp_path, accounts__path=str(sample.accounts))
    here = build_platform(load_settings(settings, folder=tmp_path))
    days = [archived(platform) for platform in (on_aws, here)]
    assert days[0].metadata[COMMITTED] == days[1].metadata[COMMITTED] != ""
    assert objects(aws, "commitments/") == [commitments_path(DAY)]
    for platform in (on_aws, here):
        (totals,), (charged,) = (platform.catalog.query(sql)[1] for sql in (TOTALS, CHARGED))
        used, unused, committed = map(Decimal, totals[:3])
        assert (used, unused) == tuple(map(Decimal, charged))
        assert committed == used + unused
        assert (used > 100, unused > 10, totals[3]) == (True, True, 3)
    aws.calls.reset()
    warehouse = on_aws.warehouse
    warehouse.source_days(DAY, DAY)
    list(warehouse.breakdown(DAY, DAY, account_map()))
    before = aws.calls.count("athena", "StartQueryExecution")
    assert sum(batch.num_rows for batch in warehouse.commitments(DAY, DAY)) > 3
    assert aws.calls.count("athena", "StartQueryExecution") == before

"""Why a day cost another amount: effects that add up to the change to the last decimal, and that name its cause."""

from __future__ import annotations

import tempfile
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from typing import Any, cast

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from finops_assets.adapters.local.warehouse import DuckDBWarehouse
from finops_assets.core.accounts.account_map import Membership, read_accounts_csv
from finops_assets.core.analytics import driver_sums, drivers, kept_parts
from finops_assets.core.analytics.driver_sums import explain
from finops_assets.core.analytics.drivers import EFFECTS, OF_THE_BILL, Driver, Drivers, summed, words
from finops_assets.core.analytics.scoring import Scoring
from finops_assets.core.archive.journal import Journal
from finops_assets.core.archive.recovery import whole_day
from finops_assets.core.archive.sku_sums import SkuSums
from finops_assets.core.errors import ArchiveError, DamagedError
from finops_assets.core.ports import Archive, Warehouse
from finops_assets.core.schemas import day_path, moved_parts_path
from finops_assets.core.values import DayRows
from finops_assets.defs.run import run_days
from finops_assets.stories.sample_bill import SampleBill, write_sample_bill
from finops_assets_tests.bill.test_real_bills import CUR, FOCUS
from finops_assets_tests.support.bills import (
    ACCOUNT,
    DAY,
    Line,
    account_map,
    archive_days,
    at,
    days_with_charges,
    line,
    make_bill,
    new_archive,
    open_bill,
    read_rows,
)
from finops_assets_tests.support.on_aws import make_ready, platform_on
from standin.bills import load_bill
from standin.server import StandIn

pytestmark = pytest.mark.usefixtures("records_in_memory")

WEEK_AGO = DAY - timedelta(days=7)
MONTH = timedelta(days=30)
OTHER, THIRD = "444455556666", "777788889999"
LAST = date(2025, 10, 2)


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> SampleBill:
    return write_sample_bill(tmp_path_factory.mktemp("sample") / "bill", LAST, 45)


@pytest.fixture(scope="module")
def organization(sample: SampleBill) -> pa.Table:
    return account_map(*read_accounts_csv(sample.accounts.read_bytes(), "accounts.csv"))


def use(fmt: str, day: date, quantity: str | None, cost: str, *, kind: str = "Usage", **facts: Any) -> Line:
    """A line of use: `kind` is a CUR's type, of which FOCUS has the commitment; `effective` its cost when amortized."""
    effective = Decimal(facts.pop("effective", cost))
    sku, amount = facts.pop("sku", "BoxUsage:m6i.large"), None if quantity is None else Decimal(quantity)
    covered = kind in ("SavingsPlanCoveredUsage", "DiscountedUsage")
    if fmt == "focus":
        extra = {
            "EffectiveCost": effective,
            "SkuId": sku,
            "PricingQuantity": amount,
            "PricingUnit": "Hrs",
            "CommitmentDiscountId": "a-plan" if covered or kind == "Unused" else None,
            "CommitmentDiscountStatus": {"Usage": None, "Unused": "Unused"}.get(kind, "Used"),
        }
        return line("0" if covered else cost, start=at(day), extra=extra, **facts)
    extra = {
        "line_item_line_item_type": kind,
        "line_item_usage_type": sku,
        "line_item_usage_amount": amount,
        "savings_plan_savings_plan_effective_cost": effective if covered else Decimal(0),
        "reservation_effective_cost": effective if covered else Decimal(0),
    }
    return line(cost, start=at(day), extra=extra, **facts)


def effects_of(path: Path, basis: str = "effective", **how: Any) -> dict[str, Decimal]:
    """What made DAY cost more than the week before, over all accounts; a zero is left out."""
    table = open_bill(path, basis=basis, **how).drivers(DAY, WEEK_AGO)
    sums = {name: sum(table.column(name).to_pylist(), Decimal()) for name in OF_THE_BILL}
    return {name: amount for name, amount in sums.items() if amount}


def assert_adds_up(table: pa.Table, before: Mapping, now: Mapping) -> None:
    """Each row's effects sum to its change, and the rows to these sums by (service, account)."""
    for row in table.to_pylist():
        assert sum(row[name] for name in OF_THE_BILL) == row["now"] - row["before"], row
    for name, wanted in (("before", before), ("now", now)):
        found: dict[tuple, Decimal] = defaultdict(Decimal)
        for row in table.to_pylist():
            if row[f"there_{name}"]:
                found[row["service"], row["linkedaccount"]] += row[name]
            else:
                assert row[name] == 0
        assert found == wanted, name


def breakdown(warehouse: DuckDBWarehouse, day: date) -> dict[tuple[str, str], Decimal]:
    sums: dict[tuple, Decimal] = defaultdict(Decimal)
    for _, _, service, account, cost in read_rows(warehouse, day, day):
        sums[service, account] += cost
    return sums


# --- what the bill tells -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("fmt", ["focus", "cur2"])
def test_more_use_at_another_price_is_told_apart(tmp_path: Path, fmt: str) -> None:
    """100 hours at 0.50, then 120 at 0.60: 10.00 is use at the old price, 12.00 is the price of today's use."""
    lines = [use(fmt, WEEK_AGO, "60", "30"), use(fmt, WEEK_AGO, "40", "20"), use(fmt, DAY, "120", "72")]
    assert effects_of(make_bill(tmp_path, lines, fmt)) == {"volume": 10, "price": 12}


@pytest.mark.parametrize("fmt", ["focus", "cur2"])
def test_use_on_one_day_alone_is_volume(tmp_path: Path, fmt: str) -> None:
    """Other instance types, other services: each SKU for itself, whatever it costs."""
    lines = [
        use(fmt, WEEK_AGO, "100", "50"),
        use(fmt, DAY, "100", "70", sku="BoxUsage:m7i.large"),
        use(fmt, DAY, "5", "1", service="Amazon S3"),
        use(fmt, WEEK_AGO, "1", "3", service="Amazon RDS"),
        use(fmt, DAY, "0", "0", service="Amazon RDS"),
    ]
    assert effects_of(make_bill(tmp_path, lines, fmt)) == {"volume": 50 - 30 + 1 - 3}


@pytest.mark.parametrize(
    ("fmt", "basis", "covering"),
    [
        ("focus", "effective", "-14.4"),
        ("cur2", "effective", "-14.4"),
        ("focus", "billed", "-48"),
        ("cur2", "billed", "-48"),
    ],
)
def test_another_share_of_covered_use_is_coverage(tmp_path: Path, fmt: str, basis: str, covering: str) -> None:
    """100 hours on demand at 1.00; then 120, 48 of them under a plan at 0.70, which the invoice has in its fee."""
    covered = use(fmt, DAY, "48", "48", kind="SavingsPlanCoveredUsage", effective="33.6")
    lines = [use(fmt, WEEK_AGO, "100", "100"), use(fmt, DAY, "72", "72"), covered]
    if fmt == "cur2":
        # It repeats the amount, which is used once.
        lines.append(use(fmt, DAY, "48", "-48", kind="SavingsPlanNegation"))
    assert effects_of(make_bill(tmp_path, lines, fmt), basis) == {"volume": 20, "coverage": Decimal(covering)}


@pytest.mark.parametrize("fmt", ["focus", "cur2"])
def test_a_price_that_moves_beside_a_steady_coverage_is_price(tmp_path: Path, fmt: str) -> None:
    """Half of the hours are under a plan on both days; both rates are a tenth more."""
    lines = [
        use(fmt, WEEK_AGO, "50", "50"),
        use(fmt, WEEK_AGO, "50", "50", kind="DiscountedUsage", effective="30"),
        use(fmt, DAY, "50", "55"),
        use(fmt, DAY, "50", "55", kind="DiscountedUsage", effective="33"),
    ]
    assert effects_of(make_bill(tmp_path, lines, fmt)) == {"price": 8}


def test_what_is_unused_of_a_commitment_is_coverage_but_a_months_fee_is_a_fee(tmp_path: Path) -> None:
    """Where commitments are amortized, a plan's idle hours cost; what is booked for a month at once is no day's use."""
    idle = [use("focus", DAY, None, "4", kind="Unused"), use("focus", DAY, None, "100", kind="Unused", length=MONTH)]
    assert effects_of(make_bill(tmp_path / "focus", [use("focus", WEEK_AGO, "1", "1"), *idle])) == {
        "volume": -1, "coverage": 4, "one_off": 100,
    }  # fmt: skip
    fee = {"savings_plan_total_commitment_to_date": Decimal(10), "savings_plan_used_commitment": Decimal(6)}
    fees = use("cur2", DAY, "1", "10", kind="SavingsPlanRecurringFee")
    lines = [use("cur2", WEEK_AGO, "1", "1"), Line(**{**vars(fees), "extra": fees.extra | fee})]
    path = make_bill(tmp_path / "cur2", lines, "cur2")
    assert effects_of(path) == {"volume": -1, "coverage": 4}
    assert effects_of(path, "billed") == {"volume": -1, "one_off": 10}


@pytest.mark.parametrize("fmt", ["focus", "cur2", "cur"])
def test_what_is_no_use_has_its_own_name(tmp_path: Path, fmt: str) -> None:
    """Tax, credits and refunds, purchases and charges of a month, on either day; settings leave them out."""
    lines = [
        line("7", category="Tax", length=MONTH),
        line("-5", category="Credit"),
        line("-2", start=at(WEEK_AGO), category="Credit"),
        line("-0.75", category="Refund"),
        line("90", category="Purchase"),
        line("300", start=at(WEEK_AGO), service="AWS Support", length=MONTH),
        line("12", start=at(DAY - timedelta(days=1))),
    ]
    path = make_bill(tmp_path, lines, fmt)
    assert effects_of(path, "billed") == {"tax": 7, "credits": Decimal("-3.75"), "one_off": 90 - 300}
    left_out = {"include_tax": False, "include_credits": False}
    assert effects_of(path, "billed", **left_out) == {"credits": Decimal("-0.75"), "one_off": -210}


def test_what_the_bill_does_not_tell_apart_is_other(tmp_path: Path) -> None:
    """A summary table, a bill without quantities, use without one, and a quantity that is no number."""
    plain = [line("5", start=at(WEEK_AGO)), line("8"), line("1", service="Amazon S3")]
    for fmt in ("summary", "focus", "cur", "cur2"):
        assert effects_of(make_bill(tmp_path / fmt, plain, fmt), "billed") == {"other": 4}
    for quantity in (None, "-3"):
        lines = [
            use("focus", WEEK_AGO, quantity, "5"),
            use("focus", DAY, "3", "8"),
            use("focus", DAY, "3", "1", sku="b"),
        ]
        assert effects_of(make_bill(tmp_path / f"q{quantity}", lines)) == {"other": 3, "volume": 1}
    extra = {"PricingQuantity": "three", "SkuId": "a"}
    lines = [line("5", start=at(WEEK_AGO), extra=extra), line("8", extra=extra)]
    assert effects_of(make_bill(tmp_path / "text", lines, kind="csv"), "billed") == {"other": 3}


@pytest.mark.parametrize("change", [("SkuId", "ResourceId"), ("PricingUnit", "SkuId"), ("PricingQuantity", "Quantity")])
def test_what_only_explains_is_never_required(tmp_path: Path, change: tuple[str, str]) -> None:
    """A bill without SKU, with two of them, or without a quantity is read as ever: its change has no name."""
    path = make_bill(tmp_path, [use("focus", WEEK_AGO, "1", "5"), use("focus", DAY, "3", "8")], kind="csv")
    assert effects_of(path) == {"volume": 10, "price": -7}
    header, rest = path.read_text().split("\n", 1)
    path.write_text(f"{header.replace(*change)}\n{rest}")
    assert effects_of(path) == {"other": 3}


def test_a_unit_that_is_not_what_is_paid_for_makes_no_price(tmp_path: Path) -> None:
    """0.001 GB cost 0.10, 1,000 GB cost 0.20: nobody wants to read of 99,999.90 more use and 99,999.80 less price."""
    lines = [use("focus", WEEK_AGO, "0.001", "0.1"), use("focus", DAY, "1000", "0.2")]
    assert effects_of(make_bill(tmp_path, lines)) == {"volume": Decimal("0.1")}


QUANTITIES = st.sampled_from([None, "0", "-1", "1E-300", "1E300", "0.1", "3", "7", "1000000"])
USE = st.builds(
    lambda on, quantity, cost, sku, kind, account, category: (on, quantity, cost, sku, kind, account, category),
    st.booleans(),
    QUANTITIES,
    st.one_of(st.decimals(-1_000, 1_000, places=11), st.integers(-9, 9).map(lambda n: Decimal(n).scaleb(-11))),
    st.sampled_from(["a", "b"]),
    st.sampled_from(["Usage", "Usage", "SavingsPlanCoveredUsage", "SavingsPlanNegation"]),
    st.sampled_from([ACCOUNT, OTHER]),
    st.sampled_from(["Usage", "Usage", "Usage", "Tax", "Refund", "Purchase"]),
)


@settings(max_examples=20, deadline=None)
@given(drawn=st.lists(USE, min_size=1, max_size=25), fmt=st.sampled_from(["focus", "cur2", "summary"]))
def test_effects_always_sum_to_the_change(drawn: list[tuple], fmt: str) -> None:
    """Whatever the quantities are: none, negative, next to nothing or beyond all measure."""
    lines, sums = [], {WEEK_AGO: defaultdict(Decimal), DAY: defaultdict(Decimal)}
    for later, quantity, cost, sku, kind, account, category in drawn:
        day = DAY if later else WEEK_AGO
        facts = {"sku": sku, "account": account, "category": category}
        one = use("focus" if fmt == "summary" else fmt, day, quantity, f"{cost:f}", kind=kind, **facts)
        if fmt == "summary":
            one = Line(**{**vars(one), "extra": {}})
        elif fmt == "cur2" and category != "Usage":
            kinds = {"Purchase": "Fee"}
            one = Line(
                **{**vars(one), "extra": one.extra | {"line_item_line_item_type": kinds.get(category, category)}}
            )
        lines.append(one)
        sums[day][one.service, account] += one.cost
    with tempfile.TemporaryDirectory() as folder:
        warehouse = open_bill(make_bill(Path(folder), lines, fmt, "csv"), basis="billed")
        table = warehouse.drivers(DAY, WEEK_AGO)
        assert_adds_up(table, sums[WEEK_AGO], sums[DAY])
        told = explain(table, DAY, WEEK_AGO, account_map(), "USD", "billed")
    for driver in told.each():
        assert sum(driver.effects.values(), Decimal()) == driver.delta
    total = sum(sums[DAY].values(), Decimal()) - sum(sums[WEEK_AGO].values(), Decimal())
    assert sum(summed(told, "All").values(), Decimal()) == total


# --- whole bills -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("day", "against"),
    [(LAST, LAST - timedelta(days=1)), (date(2025, 10, 1), date(2025, 9, 24)), (LAST - timedelta(days=10), LAST)],
)
def test_both_formats_of_the_sample_say_the_same(
    sample: SampleBill, organization: pa.Table, day: date, against: date
) -> None:
    """CUR 2.0 and FOCUS are one bill, so that why it moved is one answer; its sums are those of the breakdown."""
    for basis in ("billed", "effective"):
        focus, cur2 = (open_bill(path, basis=basis) for path in (sample.focus, sample.cur2))
        table = focus.drivers(day, against)
        assert table.equals(cur2.drivers(day, against))
        assert_adds_up(table, breakdown(focus, against), breakdown(focus, day))
        told = explain(table, day, against, organization, "USD", basis)
        # By OU as of each day, through the map, as the breakdown has it.
        moved: dict[str, Decimal] = defaultdict(Decimal)
        for sign, of in ((1, day), (-1, against)):
            for _, ou, _, _, cost in read_rows(focus, of, of, organization):
                moved[ou] += sign * cost
        for ou, change in moved.items():
            assert sum((d.delta for d in told.each() if d.ou == ou), Decimal()) == change


def test_the_stories_of_the_sample_are_found(sample: SampleBill, organization: pa.Table) -> None:
    """A new account, one that moves, a credit that ends, a refund, and the fees of the first of a month."""
    warehouse = open_bill(sample.focus, basis="billed")

    def told(days_before_last: int) -> Drivers:
        day = LAST - timedelta(days=days_before_last)
        against = day - timedelta(days=1)
        return explain(warehouse.drivers(day, against), day, against, organization, "USD", "billed")

    new = told(12)
    assert {d.account for d in new.each() if "new_account" in d.effects} == {"111000000077"}
    assert summed(new, "Unassigned")["new_account"] == sum(d.now for d in new.each() if d.account == "111000000077")
    moved = told(28)
    gained, lost = (summed(moved, ou)["moved"] for ou in ("Workloads/Prod", "Workloads/NonProd"))
    assert gained == -lost > 20
    assert "moved" not in summed(moved, "Workloads") | summed(moved, "All"), "above both, nothing came or went"
    assert summed(told(15), "All")["credits"] == 95
    assert summed(told(10), "All", service="Amazon Relational Database Service")["credits"] == -1240
    first = told(1)
    assert first.day.day == 1
    assert min(summed(first, "All")["tax"], summed(first, "All")["one_off"]) > 1000
    assert summed(told(24), "All", "Amazon Redshift") == {
        "volume": summed(told(24), "Data", "Amazon Redshift")["volume"]
    }


def test_a_renamed_service_has_one_row() -> None:
    """Its use goes on under the new name: no volume of 10 is gone, and none of 11 is new."""

    def row(service: str, before: int, now: int) -> dict[str, Any]:
        there = {"there_before": before > 0, "there_now": now > 0, "used_before": before > 0, "used_now": now > 0}
        effects = {**dict.fromkeys(OF_THE_BILL, Decimal()), "volume": Decimal(now - before)}
        sums = {"before": Decimal(before), "now": Decimal(now)}
        return {"linkedaccount": ACCOUNT, "service": service, "ou": None, **sums, **there, **effects}

    sums = driver_sums.as_sums(
        pa.Table.from_pylist(
            [row("Old", 10, 0), row("New", 0, 11), row("Other", 5, 5)], driver_sums.as_sums(None).schema
        )
    )
    renamed = driver_sums.under_new_names(sums, {"Old": "New"}).to_pylist()
    assert [(each["service"], each["before"], each["now"], each["volume"]) for each in renamed] == [
        ("New", 10, 11, 1),
        ("Other", 5, 5, 0),
    ]
    assert (renamed[0]["there_before"], renamed[0]["there_now"]) == (True, True)
    assert driver_sums.under_new_names(sums, {}) is sums


def test_athena_says_what_duckdb_says(aws: StandIn, sample: SampleBill, tmp_path: Path) -> None:
    """The same table from one query, which reads no billing period that cannot have a line of these days."""
    make_ready(aws, sample.focus)
    load_bill(aws, sample.cur2, table="billing.cur2", bucket="another-bill-bucket")
    day, against = LAST, LAST - timedelta(days=1)
    for table, path in (("billing.focus", sample.focus), ("billing.cur2", sample.cur2)):
        warehouse = platform_on(aws, tmp_path, bill__table=table, bill__cost_basis="effective").warehouse
        asked = len(aws.athena.queries)
        found = warehouse.drivers(day, against)
        assert found.num_rows > 200
        assert found.equals(open_bill(path, basis="effective").drivers(day, against))
        (query,) = aws.athena.queries[asked:]
        assert "billing_period >= '2025-09'" in query.sql
        assert "line_item_resource_id" not in query.sql
        parts, of_files = (each.moved_parts(day, against) for each in (warehouse, open_bill(path, basis="effective")))
        exact = [name for name in parts.column_names if not name.startswith("quantity")]
        assert parts.select(exact).equals(of_files.select(exact)), "quantities are doubles: their sums differ a little"
        assert (
            sum(parts["resource"].to_pylist().count(name) for name in set(parts["resource"].to_pylist()) if name) > 10
        )
    assert warehouse.drivers(date(2031, 1, 2), date(2031, 1, 1)).equals(driver_sums.as_sums(None)), "no lines, no rows"
    assert aws.refused == []
    staged = aws.client("s3").list_objects_v2(Bucket="finops-daily-summaries", Prefix="_staging/")
    assert staged["KeyCount"] == 0


def test_a_morning_on_athena_reads_its_lines_once(aws: StandIn, sample: SampleBill, tmp_path: Path) -> None:
    """What the day before has used was kept by its own run; of a day that was restated since, it is asked again."""
    make_ready(aws, sample.focus)
    platform = platform_on(aws, tmp_path, accounts__path=sample.accounts)
    before, last = LAST - timedelta(days=1), LAST

    def run_of(day: date) -> list[str]:
        asked = len(aws.athena.queries)
        seven = datetime.combine(day + timedelta(days=1), time(7), UTC)
        assert run_days(platform, day, day, clock=lambda: seven).errors == ()
        return [query.sql for query in aws.athena.queries[asked:] if "sku_0" in query.sql]

    first, second = run_of(before), run_of(last)
    assert (len(first), len(second)) == (1, 1), "the day's own pass"
    found = platform.warehouse.drivers(last, before)
    assert found.equals(open_bill(sample.focus).drivers(last, before))
    archive = platform.archive
    kept = kept_parts.read(archive.get(moved_parts_path(last)) or b"").rows
    total = archive.describe(last).total - archive.describe(before).total
    assert sum(kept["change"].to_pylist()) == total, "the parts are of the same sums"
    facts = {name: fact for name, fact in archive.describe(before).metadata.items() if name != "fingerprint"}
    archive.publish(replace(archive_day(archive, before), fingerprint="another"), facts)
    asked = len(aws.athena.queries)
    assert platform.warehouse.drivers(last, before).equals(found)
    (query,) = aws.athena.queries[asked:]
    alone = f"ChargePeriodStart >= TIMESTAMP '{before} 00:00:00' AND ChargePeriodStart < TIMESTAMP '{last} 00:00:00'"
    assert alone.lower() in query.sql.lower(), "of that day alone"


def test_kept_sums_of_several_days_take_one_listing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of days that are archived, in their state: another one's sums are as if there were none."""
    days = [LAST - timedelta(days=1), LAST]
    archive = new_archive(tmp_path)
    bill = make_bill(tmp_path / "bill", [line(n, start=at(day)) for n, day in enumerate(days, 1)])
    archive_days(open_bill(bill), archive, days)
    listings: list[None] = []
    stamps = archive.stamps
    monkeypatch.setattr(archive, "stamps", lambda: (listings.append(None), stamps())[1])
    sums = {day: pa.table({"cost": [n]}) for n, day in enumerate([*days, LAST + timedelta(days=1)])}
    SkuSums(archive, "a bill", "rules").keep(sums)
    assert SkuSums(archive, "a bill", "rules").read(list(sums)) == {day: sums[day] for day in days}
    assert len(listings) == 2, "one to keep them, one to read them"
    assert SkuSums(archive, "a bill", "other rules").read(days) == {}


def test_a_first_day_is_scored_where_its_sums_cannot_be_kept(tmp_path: Path) -> None:
    """Nothing explains a day that none was archived before; what Athena refuses then holds up no bill either."""
    bill, archive = open_bill(make_bill(tmp_path / "bill", [line("5")])), new_archive(tmp_path)

    class Refused:
        def keep_sums(self, _: date) -> None:
            raise ArchiveError("cannot be written", where="drivers/sums/")

    archive_days(bill, archive, [DAY])
    now = datetime(2025, 9, 11, 7, tzinfo=UTC)
    scored = Scoring(cast(Warehouse, Refused()), archive, Journal(archive, 3)).score([DAY], now)
    assert scored.cards[DAY].scores[0].cost == 5
    (note,) = scored.wrong
    assert "drivers/sums/: cannot be written" in note


def archive_day(archive: Archive, day: date) -> DayRows:
    return whole_day(archive.get(day_path(day)) or b"", day, "now")


@pytest.mark.skipif(not FOCUS.is_file() or not CUR.is_file(), reason="no real bills")
@pytest.mark.parametrize(("path", "basis"), [(FOCUS, "effective"), (FOCUS, "billed"), (CUR, "unblended")])
def test_real_bills_add_up(path: Path, basis: str) -> None:
    """Three providers' anonymised lines, and a legacy CUR's: exact on every day against the one before."""
    warehouse = open_bill(path, basis=basis)
    for against, day in pairwise(days_with_charges(warehouse)[:5]):
        assert_adds_up(warehouse.drivers(day, against), breakdown(warehouse, against), breakdown(warehouse, day))


@pytest.mark.skipif(not CUR.is_file(), reason="no real bills")
def test_a_real_curs_first_day_is_explained_by_its_tax() -> None:
    """0.08 of tax on the 1st is gone on the 2nd, and little else happened."""
    day, against = date(2023, 11, 2), date(2023, 11, 1)
    table = open_bill(CUR, basis="unblended").drivers(day, against)
    assert sum(table.column("tax").to_pylist()) == Decimal("-0.08")
    assert sum(table.column("other").to_pylist()) == 0


# --- the organization --------------------------------------------------------------------------------------------


def sums(*rows: Mapping[str, Any]) -> pa.Table:
    """Sums as an engine gives them; a cost makes lines of use on its day, and what is not said is volume."""
    full = []
    for row in rows:
        before, now = (Decimal(row.get(name, 0)) for name in ("before", "now"))
        effects = {name: Decimal(row.get(name, 0)) for name in OF_THE_BILL}
        effects["volume"] += now - before - sum(effects.values())
        said = {"ou": None, "there_before": before != 0, "there_now": now != 0}
        said |= {"used_before": before != 0, "used_now": now != 0}
        full.append({"service": "Amazon EC2", **said, **row, "before": before, "now": now, **effects})
    return driver_sums.as_sums(pa.Table.from_pylist(full, schema=driver_sums.as_sums(None).schema))


def told(table: pa.Table, *memberships: Membership) -> list[tuple[str, str, dict[str, Decimal]]]:
    found = explain(table, DAY, WEEK_AGO, account_map(*memberships), "USD", "billed")
    return [(d.ou, d.account, d.effects) for d in found.each()]


def test_accounts_that_come_and_go_are_told_as_such() -> None:
    """All of a new account's cost, its tax too; the OU is that of the day that it is there on."""
    members = (
        Membership(ACCOUNT, "a", "Eng"),
        Membership(OTHER, "b", "Sales", valid_to=DAY),
        Membership(OTHER, "b", "Closed", valid_from=DAY),
    )
    table = sums(
        {"linkedaccount": ACCOUNT, "now": 9, "tax": 2},
        {"linkedaccount": OTHER, "before": 4},
        {"linkedaccount": THIRD, "now": 1},
    )
    assert told(table, *members) == [
        ("Eng", ACCOUNT, {"new_account": 9}),
        ("Sales", OTHER, {"gone_account": -4}),
        ("Unassigned", THIRD, {"new_account": 1}),
    ]


def test_a_fee_that_comes_alone_is_no_new_account() -> None:
    """An account without use has its tax on the first of a month: it neither comes nor goes with it."""
    fee = {"linkedaccount": ACCOUNT, "now": 3, "tax": 3, "used_now": False}
    assert told(sums(fee)) == [("Engineering", ACCOUNT, {"tax": 3})]


def test_an_account_that_moved_leaves_with_its_cost_and_joins_with_it() -> None:
    """What happened to its cost is told where it is now; in the whole, a move is nothing."""
    members = (
        Membership(ACCOUNT, "a", "Eng/Old", valid_to=DAY),
        Membership(ACCOUNT, "a", "Eng/New", valid_from=DAY),
    )
    table = sums({"linkedaccount": ACCOUNT, "before": 10, "now": 13, "price": 1})
    assert told(table, *members) == [
        ("Eng/New", ACCOUNT, {"moved": 10, "volume": 2, "price": 1}),
        ("Eng/Old", ACCOUNT, {"moved": -10}),
    ]
    whole = explain(table, DAY, WEEK_AGO, account_map(*members), "USD", "billed")
    assert summed(whole, "All") == summed(whole, "Eng") == {"volume": 2, "price": 1}


def test_a_summary_tables_own_ous_are_kept(tmp_path: Path) -> None:
    """It says itself where an account is: one that moved there moves, one in two OUs at once stays in both."""
    lines = [
        line("10", start=at(WEEK_AGO), ou="Old"),
        line("12", ou="New"),
        *(line("1", start=at(WEEK_AGO), account=OTHER, ou=ou) for ou in ("A", "B")),
        line("5", account=OTHER, ou="A"),
    ]
    path = make_bill(tmp_path, lines, "summary")
    assert told(open_bill(path).drivers(DAY, WEEK_AGO)) == [
        ("A", OTHER, {"other": 4}),
        ("B", OTHER, {"other": -1}),
        ("New", ACCOUNT, {"moved": 10, "other": 2}),
        ("Old", ACCOUNT, {"moved": -10}),
    ]


def test_only_what_moved_is_kept() -> None:
    """A row whose cost is the same is left out, unless effects cancel each other."""
    table = sums(
        {"linkedaccount": ACCOUNT, "before": 5, "now": 5},
        {"linkedaccount": ACCOUNT, "service": "Amazon S3", "before": 5, "now": 5, "price": 1},
    )
    assert told(table) == [("Engineering", ACCOUNT, {"volume": -1, "price": 1})]


def test_an_ou_has_what_lies_below_it() -> None:
    """By whole names of OUs, and by service and account where they are asked for."""
    rows = (
        Driver("Eng", "Amazon S3", ACCOUNT, Decimal(1), Decimal(3), {"volume": Decimal(2)}),
        Driver("Eng/Shop", "Amazon EC2", OTHER, Decimal(0), Decimal(1), {"price": Decimal(3), "volume": Decimal(-2)}),
        Driver("Engine", "Amazon EC2", THIRD, Decimal(0), Decimal(7), {"new_account": Decimal(7)}),
    )
    found = Drivers.of(DAY, WEEK_AGO, "USD", "billed", rows)
    assert summed(found, "Eng") == {"price": 3}
    assert summed(found, "Eng", service="Amazon S3") == summed(found, "All", account=ACCOUNT) == {"volume": 2}
    assert list(summed(found, "All")) == ["new_account", "price"]
    assert summed(found, "Nowhere") == {}


# --- words and files ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("effects", "limit", "text", "reason"),
    [
        ({"tax": "-3", "coverage": "40", "volume": "120.1"}, 3,
         "volume +120.10 USD, commitment coverage +40.00 USD, tax -3.00 USD", "by size"),
        ({"tax": "-3", "coverage": "40", "volume": "120.1"}, 1, "volume +120.10 USD, other +37.00 USD", "one rest"),
        ({"other": "99", "volume": "1"}, 3, "volume +1.00 USD, other +99.00 USD", "what is not told apart comes last"),
        ({"other": "99"}, 3, "other +99.00 USD", "nothing is told apart"),
        ({"volume": "0.006", "price": "0.006"}, 3, "unit price +0.01 USD", "the change is 0.01, and so are the words"),
        ({"volume": "5", "price": "0.001"}, 3, "volume +5.00 USD", "no name is worth less than a cent"),
        ({"volume": "-5", "moved": "5"}, 3, "accounts moved +5.00 USD, volume -5.00 USD", "no change, for two reasons"),
        ({"volume": "0.004"}, 3, "", "nothing to tell"),
        ({}, 3, "", "nothing to tell"),
    ],
)  # fmt: skip
def test_the_words_name_the_largest(effects: Mapping[str, str], limit: int, text: str, reason: str) -> None:
    """`limit` names, then one for the rest."""
    assert words({name: Decimal(amount) for name, amount in effects.items()}, "USD", limit) == text, reason


@settings(max_examples=50, deadline=None)
@given(
    effects=st.dictionaries(st.sampled_from(list(EFFECTS)), st.decimals(-100, 100, places=4), max_size=10),
    limit=st.integers(1, 10),
)
def test_the_words_add_up_to_the_change_that_is_shown(effects: dict[str, Decimal], limit: int) -> None:
    """In cents, as a reader adds them."""
    text = words(effects, "USD", limit)
    shown = sum((Decimal(part.split()[-2]) for part in text.split(", ") if part), Decimal())
    assert shown == sum(effects.values(), Decimal()).quantize(Decimal("0.01"))


def test_drivers_are_read_back_as_they_were(sample: SampleBill, organization: pa.Table) -> None:
    """An object a day, the same bytes for the same day, hostile names and all; what is damaged says so."""
    table = open_bill(sample.focus).drivers(LAST, WEEK_AGO)
    strange = Driver('<b>"\u202e\n', "a,b", "NULL", Decimal("0.000000000001"), Decimal(0), {"tax": Decimal("-1E-12")})
    found = explain(table, LAST, WEEK_AGO, organization, "USD", "billed")
    found = Drivers.of(LAST, WEEK_AGO, "USD", "billed", (*found.each(), strange))
    data = drivers.to_parquet(found)
    assert drivers.read(data) == found
    assert drivers.to_parquet(found) == data
    assert drivers.drivers_path(LAST) == "drivers/2025-10-02.parquet"
    empty = Drivers.of(LAST, WEEK_AGO, "USD", "billed", ())
    assert drivers.read(drivers.to_parquet(empty)) == empty
    wrong = Driver("Eng", "a", ACCOUNT, Decimal(0), Decimal(2), {"tax": Decimal(1)})
    unsound = drivers.to_parquet(Drivers.of(LAST, WEEK_AGO, "USD", "billed", (wrong,)))
    for damaged in (b"", b"not Parquet", data[:-20], unsound):
        with pytest.raises(DamagedError):
            drivers.read(damaged)

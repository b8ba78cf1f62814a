"""The sample bill: its layout, its arithmetic in both formats, and the stories that the demo relies on."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from collections.abc import Iterator
from datetime import date, timedelta
from decimal import Decimal
from hashlib import sha256
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from finops_assets.core.errors import FinopsError
from finops_assets.stories.sample_bill import SampleBill, write_sample_bill

LAST_DAY = date(2025, 9, 30)

AMORTIZED = """
    CASE line_item_line_item_type
        WHEN 'SavingsPlanCoveredUsage' THEN savings_plan_savings_plan_effective_cost
        WHEN 'SavingsPlanRecurringFee' THEN savings_plan_total_commitment_to_date - savings_plan_used_commitment
        WHEN 'SavingsPlanNegation' THEN 0
        WHEN 'SavingsPlanUpfrontFee' THEN 0
        WHEN 'DiscountedUsage' THEN reservation_effective_cost
        WHEN 'RIFee' THEN
            reservation_unused_amortized_upfront_fee_for_billing_period + reservation_unused_recurring_fee
        WHEN 'Fee' THEN CASE WHEN reservation_reservation_a_r_n <> '' THEN 0 ELSE line_item_unblended_cost END
        ELSE line_item_unblended_cost
    END
"""


@pytest.fixture(scope="module")
def bill(tmp_path_factory: pytest.TempPathFactory) -> SampleBill:
    return write_sample_bill(tmp_path_factory.mktemp("bill") / "sample", LAST_DAY)


@pytest.fixture(scope="module")
def sql(bill: SampleBill) -> Iterator[duckdb.DuckDBPyConnection]:
    with connect(bill) as connection:
        yield connection


def connect(bill: SampleBill) -> duckdb.DuckDBPyConnection:
    """Both exports as views, with the four amounts that must agree named `billed` and `effective`."""
    connection = duckdb.connect()
    for name, prefix in (("focus", bill.focus), ("cur2", bill.cur2)):
        files = f"read_parquet('{prefix}/**/*.parquet', hive_partitioning = false)"
        connection.execute(f"CREATE VIEW {name}_lines AS FROM {files}")
    connection.execute(
        "CREATE VIEW focus AS SELECT *, CAST(ChargePeriodStart AS DATE) AS day, SubAccountId AS account, "
        "ServiceName AS service, BilledCost AS billed, EffectiveCost AS effective FROM focus_lines"
    )
    connection.execute(
        "CREATE VIEW cur2 AS SELECT *, CAST(line_item_usage_start_date AS DATE) AS day, "
        "line_item_usage_account_id AS account, product['product_name'] AS service, "
        f"line_item_unblended_cost AS billed, {AMORTIZED} AS effective FROM cur2_lines"
    )
    return connection


def day(before: int) -> date:
    return LAST_DAY - timedelta(days=before)


def accounts(bill: SampleBill) -> list[dict[str, str]]:
    with bill.accounts.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def digests(folder: Path) -> dict[str, str]:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): sha256(path.read_bytes()).hexdigest() for path in files}


def assert_formats_agree(sql: duckdb.DuckDBPyConnection, key: str, days: int) -> None:
    apart = sql.execute(
        f"WITH f AS (SELECT {key}, sum(billed) b, sum(effective) e FROM focus GROUP BY ALL), "
        f"c AS (SELECT {key}, sum(billed) b, sum(effective) e FROM cur2 GROUP BY ALL) "
        "SELECT count(DISTINCT day), count(*) FILTER (f.b IS NULL OR c.b IS NULL), max(abs(f.b - c.b)), "
        f"max(abs(f.e - c.e)) FROM f FULL JOIN c USING ({key})"
    ).fetchone()
    assert apart[:2] == (days, 0)
    assert max(apart[2:]) < 1e-6


@pytest.mark.parametrize(
    "key",
    [
        "day",  # what the platform reconciles
        "day, account, service",  # what a breakdown shows: both formats give the same rows
    ],
)
def test_formats_agree_on_every_day(sql: duckdb.DuckDBPyConnection, key: str) -> None:
    """FOCUS BilledCost is CUR unblended, and FOCUS EffectiveCost is CUR amortized, on each day of the window."""
    assert_formats_agree(sql, key, days=90)


@pytest.mark.parametrize(
    ("last_day", "days", "months"),
    [
        (date(2025, 9, 30), 1, 1),  # a single day
        (date(2025, 9, 1), 1, 1),  # a single day that carries the month's charges
        (date(2025, 9, 30), 30, 1),  # exactly one billing period
        (date(2025, 3, 2), 4, 2),  # over the end of February, from the middle of a month
        (date(2024, 2, 29), 60, 2),  # a leap day, from the first of a year
        (date(2025, 9, 17), 400, 14),  # more than a year, mid-month at both ends
    ],
)
def test_any_window_holds_together(tmp_path: Path, last_day: date, days: int, months: int) -> None:
    """Whatever the window, every day of it is billed, both formats agree, and no fee has a negative unused part."""
    bill = write_sample_bill(tmp_path / "sample", last_day, days)
    assert bill.first_day == last_day - timedelta(days=days - 1)
    assert len(list(bill.focus.rglob("*.parquet"))) == len(list(bill.cur2.rglob("*.parquet"))) == months
    with connect(bill) as sql:
        assert_formats_agree(sql, "day", days)
        for table in ("focus", "cur2"):
            assert sql.execute(f"SELECT min(day), max(day) FROM {table}").fetchone() == (bill.first_day, last_day)
        least = "SELECT coalesce(min(effective), 0) FROM focus WHERE CommitmentDiscountStatus = 'Unused'"
        assert sql.execute(least).fetchone()[0] >= 0


def test_layout_is_that_of_data_exports(bill: SampleBill) -> None:
    """Each billing period is a data file and a manifest, where Data Exports puts them."""
    for prefix, export in ((bill.focus, "sample-focus"), (bill.cur2, "sample-cur2")):
        found = {path.relative_to(prefix).as_posix() for path in prefix.rglob("*") if path.is_file()}
        periods = ("2025-07", "2025-08", "2025-09")
        data = {f"{export}/data/BILLING_PERIOD={period}/{export}-00001.snappy.parquet" for period in periods}
        assert found == data | {f"{export}/metadata/BILLING_PERIOD={p}/{export}-Manifest.json" for p in periods}
        for period in periods:
            path = prefix / f"{export}/metadata/BILLING_PERIOD={period}/{export}-Manifest.json"
            manifest = json.loads(path.read_text(encoding="utf-8"))
            file = f"{export}/data/BILLING_PERIOD={period}/{export}-00001.snappy.parquet"
            assert manifest["billingPeriod"] == period
            assert manifest["dataFiles"] == [f"s3://example-billing-exports/{prefix.name}/{file}"]
            assert manifest["columns"] == pq.read_schema(prefix / file).names


def test_billing_period_is_that_of_the_path(bill: SampleBill) -> None:
    """A file holds the lines of its billing period only, and the newest period has no invoice yet."""
    with connect(bill) as sql:
        for prefix, start, invoice in (
            (bill.focus, "BillingPeriodStart", "InvoiceId"),
            (bill.cur2, "bill_billing_period_start_date", "bill_invoice_id"),
        ):
            rows = sql.execute(
                f"SELECT DISTINCT BILLING_PERIOD, strftime({start}, '%Y-%m'), {invoice} IS NULL "
                f"FROM read_parquet('{prefix}/**/*.parquet', hive_types_autocast = false) ORDER BY 1"
            ).fetchall()
            assert rows == [("2025-07", "2025-07", False), ("2025-08", "2025-08", False), ("2025-09", "2025-09", True)]


@pytest.mark.parametrize(
    ("export", "names", "glue"),
    [
        ("focus", "focus_1_2_aws_columns.json", "focus_1_2_aws_glue_types.json"),
        ("cur2", "cur2_columns.json", "cur2_glue_types.json"),
    ],
)
def test_columns_are_those_of_aws(bill: SampleBill, export: str, names: str, glue: str) -> None:
    """Column names, their order and their types are those of AWS's own export templates."""
    schemas = Path(__file__).parents[3] / "shared" / "data" / "schemas"
    if not schemas.is_dir():
        pytest.skip(f"AWS's column lists are not at {schemas}")
    schema = pq.read_schema(next(getattr(bill, export).rglob("*.parquet")))
    assert schema.names == json.loads((schemas / names).read_text())["columns"]
    glue_types = dict(json.loads((schemas / glue).read_text()))
    found = {field.name: glue_type(field.type) for field in schema}
    assert {name: kind for name, kind in found.items() if glue_types.get(name.lower(), kind) != kind} == {}


def glue_type(kind: pa.DataType) -> str:
    """Glue's name of an Arrow type; a timestamp counts as Glue's only without a zone, which Athena has none of."""
    if pa.types.is_map(kind):
        return f"map<{kind.key_type},{kind.item_type}>"
    return "timestamp" if kind == pa.timestamp("ms") else str(kind)


def test_same_arguments_give_the_same_bytes(bill: SampleBill, tmp_path: Path) -> None:
    """The same last day and number of days write byte-identical folders, in this process and in another one."""
    again = write_sample_bill(tmp_path / "again", LAST_DAY)
    code = (
        "import sys; from datetime import date; from pathlib import Path; "
        "from finops_assets.stories.sample_bill import write_sample_bill; "
        "write_sample_bill(Path(sys.argv[1]), date(2025, 9, 30))"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path / "other")], check=True, cwd=Path(__file__).parents[2])
    expected = digests(bill.accounts.parent)
    assert len(expected) == 15
    assert digests(again.accounts.parent) == expected
    assert digests(tmp_path / "other") == expected


def test_values_do_not_depend_on_the_machine(sql: duckdb.DuckDBPyConnection) -> None:
    """Exact totals are pinned: another Python, NumPy or processor must not change them."""
    exact = "CAST(sum(CAST({} AS DECIMAL(38, 10))) AS VARCHAR)"
    pinned = sql.execute(
        f"SELECT count(*), {exact.format('billed')}, {exact.format('effective')} FROM focus"
    ).fetchone()
    assert pinned == (42072, "254427.7793262170", "252206.1861419436")


def test_amounts_have_ten_decimals_at_most(sql: duckdb.DuckDBPyConnection) -> None:
    """Every amount is a tidy double: rounding it to ten decimals changes nothing, not even one of 1e-9."""
    (amounts,) = zip(
        *sql.execute("SELECT billed FROM focus UNION ALL SELECT effective FROM focus").fetchall(), strict=True
    )
    assert all(round(amount, 10) == amount for amount in amounts)
    tiny = [Decimal(str(amount)) for amount in amounts if 0 < amount < 1e-8]
    assert len(tiny) == 2 * 2 * 90
    assert min(tiny) < Decimal("1.3e-9")


def test_window_inside_another_has_the_same_lines(sql: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    """A shorter window with the same last day is the end of the longer one: its usage is equal to the last digit."""
    usage = (
        "SELECT day, account, service, SkuMeter, ChargePeriodStart, billed FROM focus WHERE ChargeCategory = 'Usage'"
    )
    longer = sql.execute(f"{usage} AND day > DATE '{day(10)}' ORDER BY ALL").fetchall()
    with connect(write_sample_bill(tmp_path / "sample", LAST_DAY, 10)) as shorter:
        assert shorter.execute(f"{usage} ORDER BY ALL").fetchall() == longer


def test_rerun_replaces_what_is_half_written(bill: SampleBill, tmp_path: Path) -> None:
    """What a killed run left, under the folder's name or next to it, is gone after the next run."""
    half = tmp_path / "sample" / "focus" / "sample-focus" / "data" / "BILLING_PERIOD=2020-01"
    half.mkdir(parents=True)
    (half / "sample-focus-00001.snappy.parquet").write_bytes(b"PAR1")
    left = tmp_path / ".sample.partial" / "cur2"
    left.mkdir(parents=True)
    (left / "stray.parquet").write_bytes(b"PAR1")
    write_sample_bill(tmp_path / "sample", LAST_DAY)
    assert digests(tmp_path / "sample") == digests(bill.accounts.parent)
    assert [path.name for path in tmp_path.iterdir()] == ["sample"]


def test_folder_with_other_files_is_refused(tmp_path: Path) -> None:
    """A folder that holds anything but a sample bill is left as it is; the error names what is in the way."""
    (tmp_path / "thesis.md").write_text("irreplaceable", encoding="utf-8")
    with pytest.raises(FinopsError, match=r"thesis\.md"):
        write_sample_bill(tmp_path, LAST_DAY, 1)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.md"]


def test_no_days_is_an_error(tmp_path: Path) -> None:
    """A window without days is refused before anything is written."""
    with pytest.raises(ValueError, match="days must be 1 or more, not 0"):
        write_sample_bill(tmp_path / "sample", LAST_DAY, 0)
    assert list(tmp_path.iterdir()) == []


def test_import_is_cheap() -> None:
    """Importing the package loads neither NumPy nor Arrow: they load when a bill is written."""
    code = "import sys, finops_assets.stories.sample_bill; "
    code += "print([m for m in ('numpy', 'pyarrow', 'pandas') if m in sys.modules])"
    shown = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True, cwd=Path(__file__).parents[2]
    )
    assert shown.stdout.strip() == "[]"


def test_size_is_that_of_a_real_organization(bill: SampleBill, sql: duckdb.DuckDBPyConnection) -> None:
    """About forty accounts and twenty services, 300 to 600 lines a day, 60,000 to 120,000 USD a whole month."""
    assert bill.lines == sql.execute("SELECT count(*) FROM focus").fetchone()[0]
    least, most = sql.execute("SELECT min(n), max(n) FROM (SELECT count(*) n FROM focus GROUP BY day)").fetchone()
    assert 300 <= least <= most <= 600
    counted = "SELECT count(DISTINCT account), count(DISTINCT service), count(DISTINCT x_ServiceCode) FROM focus"
    assert sql.execute(counted).fetchone() == (41, 25, 25)
    months = sql.execute("SELECT sum(billed), sum(effective) FROM focus WHERE day >= '2025-08-01' GROUP BY month(day)")
    assert all(60_000 < amount < 120_000 for month in months.fetchall() for amount in month)


def test_weekends_are_quiet_where_people_work(bill: SampleBill, sql: duckdb.DuckDBPyConnection) -> None:
    """Sunday costs well under half a Wednesday in NonProd and Sandbox, and only slightly less in Prod."""
    ou_of = {row["account_id"]: row["ou_path"] for row in accounts(bill) if not row["valid_from"]}
    totals: dict[tuple[str, date], float] = {}
    usage = "SELECT account, day, sum(effective) FROM focus WHERE ChargeCategory = 'Usage' GROUP BY ALL"
    for account, on, cost in sql.execute(usage).fetchall():
        ou = ou_of.get(account, "Unassigned")
        totals[ou, on] = totals.get((ou, on), 0.0) + cost
    wednesday, sunday = date(2025, 7, 16), date(2025, 7, 20)
    share = {ou: totals[ou, sunday] / totals[ou, wednesday] for ou, on in totals if on == sunday}
    assert share["Workloads/NonProd"] < 0.5
    assert share["Sandbox"] < 0.5
    assert 0.8 < share["Workloads/Prod"] < 0.95


def test_savings_plan_lines_cancel_in_unblended_cost(sql: duckdb.DuckDBPyConnection) -> None:
    """Covered usage and its negation cancel line by line, gross and net; the recurring fee is what is billed."""
    kinds = sql.execute(
        "SELECT line_item_line_item_type, count(*), sum(line_item_unblended_cost), sum(line_item_net_unblended_cost), "
        "sum(effective) FROM cur2 WHERE savings_plan_savings_plan_a_r_n <> '' GROUP BY 1 ORDER BY 1"
    ).fetchall()
    covered, negation, fee = kinds
    assert [kind[0] for kind in kinds] == ["SavingsPlanCoveredUsage", "SavingsPlanNegation", "SavingsPlanRecurringFee"]
    assert covered[1] == negation[1]
    assert covered[2:4] == pytest.approx((-negation[2], -negation[3]))
    assert negation[4] == 0
    # Effective cost of what is covered and the unused rest of the fee are the fee, neither more nor less.
    assert fee[2] == pytest.approx(24 * 9.3 * 90)
    assert covered[4] + fee[4] == pytest.approx(fee[2])
    assert 0 < fee[4] < 0.2 * fee[2]


def test_reservations_are_amortized_to_their_fees(sql: duckdb.DuckDBPyConnection) -> None:
    """Over a whole month, what a reservation covers and what it leaves unused make its fee and its upfront share."""
    amortized = sql.execute(
        "SELECT reservation_reservation_a_r_n LIKE '%redis', sum(effective), sum(billed) FROM cur2 "
        "WHERE reservation_reservation_a_r_n <> '' AND month(day) = 9 GROUP BY 1 ORDER BY 1"
    ).fetchall()
    assert amortized[0] == (False, pytest.approx(2.55 * 24 * 30), pytest.approx(2.55 * 24 * 30))
    assert amortized[1] == (True, pytest.approx((0.51 * 24 + 12) * 30), pytest.approx(0.51 * 24 * 30))


def test_commitment_purchases_have_no_effective_cost(sql: duckdb.DuckDBPyConnection) -> None:
    """In FOCUS a commitment is billed on its purchase and effective on its use: no line has both."""
    both = (
        "SELECT count(*), count(*) FILTER (billed <> 0 AND effective <> 0) FROM focus WHERE CommitmentDiscountId <> ''"
    )
    count, wrong = sql.execute(both).fetchone()
    assert count > 0
    assert wrong == 0
    status = "SELECT DISTINCT CommitmentDiscountStatus FROM focus WHERE CommitmentDiscountId <> '' ORDER BY 1"
    assert [row[0] for row in sql.execute(status).fetchall()] == ["Unused", "Used", None]


def test_net_columns_are_a_little_lower(sql: duckdb.DuckDBPyConnection) -> None:
    """The private discount takes 3 % off usage and commitments, and leaves tax, credits and refunds as they are."""
    for kind, unblended, net in sql.execute(
        "SELECT line_item_line_item_type, sum(line_item_unblended_cost), sum(line_item_net_unblended_cost) FROM cur2 "
        "WHERE line_item_line_item_type IN ('Usage', 'RIFee', 'Tax', 'Credit', 'Refund') GROUP BY 1"
    ).fetchall():
        assert net == pytest.approx(unblended * (0.97 if kind in ("Usage", "RIFee") else 1.0)), kind
    fees = "SELECT sum(line_item_unblended_cost), sum(line_item_net_unblended_cost) FROM cur2 WHERE "
    gross, net = sql.execute(fees + "product['product_name'] LIKE 'AWS Support%'").fetchone()
    assert gross == net


def test_tax_and_support_last_a_whole_month(sql: duckdb.DuckDBPyConnection) -> None:
    """Tax and the support fee start on the 1st at 00:00 UTC and end on the 1st of the next month."""
    august, september, october = (f"2025-{month}-01 00:00:00" for month in ("08", "09", "10"))
    whole_months = [(august, september), (september, october)]
    for table, start, end, where in (
        ("focus", "ChargePeriodStart", "ChargePeriodEnd", "ChargeCategory = 'Tax'"),
        ("focus", "ChargePeriodStart", "ChargePeriodEnd", "service = 'AWS Support (Business)'"),
        ("cur2", "line_item_usage_start_date", "line_item_usage_end_date", "line_item_line_item_type = 'Tax'"),
    ):
        periods = (
            f"SELECT DISTINCT CAST({start} AS VARCHAR), CAST({end} AS VARCHAR) FROM {table} WHERE {where} ORDER BY 1"
        )
        assert sql.execute(periods).fetchall() == whole_months


def test_some_lines_are_negative(sql: duckdb.DuckDBPyConnection) -> None:
    """Money comes back as credits, and once as a refund that corrects an earlier bill."""
    negative = (
        "SELECT ChargeCategory, ChargeClass, count(*), sum(billed) FROM focus WHERE billed < 0 GROUP BY ALL ORDER BY 1"
    )
    assert sql.execute(negative).fetchall() == [
        ("Adjustment", "Correction", 1, -1240.0),
        ("Credit", None, 74, -95.0 * 74),
    ]


def test_equal_lines_are_both_there(sql: duckdb.DuckDBPyConnection) -> None:
    """Two lines of a day may be equal in every column of FOCUS; only CUR tells them apart, by their id."""
    lines, distinct = sql.execute(
        "SELECT (SELECT count(*) FROM focus_lines), (SELECT count(*) FROM (SELECT DISTINCT * FROM focus_lines))"
    ).fetchone()
    assert lines - distinct == 90
    ids = "SELECT count(*) = count(DISTINCT identity_line_item_id) FROM cur2"
    assert sql.execute(ids).fetchone()[0]


def test_one_account_is_in_no_map(bill: SampleBill, sql: duckdb.DuckDBPyConnection) -> None:
    """Exactly one billed account is not in accounts.csv; it appears twelve days before the end, and stays small."""
    known = {row["account_id"] for row in accounts(bill)}
    billed = {row[0] for row in sql.execute("SELECT DISTINCT account FROM focus").fetchall()}
    assert billed - known == {"111000000077"}
    assert known - billed == set()
    first, cost = sql.execute("SELECT min(day), sum(billed) FROM focus WHERE account = '111000000077'").fetchone()
    assert first == day(12)
    assert 0 < cost < 200


def test_one_account_moves(bill: SampleBill) -> None:
    """One account has two rows in accounts.csv: where it was, and where it is from four weeks before the end."""
    rows = accounts(bill)
    assert list(rows[0]) == ["account_id", "account_name", "ou_path", "valid_from", "business_unit"]
    assert len({row["account_id"] for row in rows}) == 40
    moved = [tuple(row.values())[1:] for row in rows if row["account_name"] == "loyalty-pilot"]
    assert moved == [
        ("loyalty-pilot", "Workloads/NonProd", "", "Commerce"),
        ("loyalty-pilot", "Workloads/Prod", f"{day(28)}", "Commerce"),
    ]


def test_names_are_not_ascii_everywhere(bill: SampleBill, sql: duckdb.DuckDBPyConnection) -> None:
    """An account name outside ASCII is the same in the map and in both exports."""
    name = "Kundenportal Zürich (東京)"
    assert name in {row["account_name"] for row in accounts(bill)}
    for table, column in (("focus", "SubAccountName"), ("cur2", "line_item_usage_account_name")):
        assert sql.execute(f"SELECT count(*) > 0 FROM {table} WHERE {column} = ?", [name]).fetchone()[0]


@pytest.mark.parametrize(
    ("account", "service", "first", "last", "least"),
    [
        ("111000000034", "Amazon SageMaker", 3, 0, 700),  # GPU training, to the end
        ("111000000005", "Amazon Elastic Compute Cloud", 36, 34, 500),  # NAT gateways and data transfer
        ("111000000039", "Amazon Simple Storage Service", 20, 18, 200),  # a bucket that logs into itself
    ],
)
def test_spikes_stand_out_on_their_days(
    sql: duckdb.DuckDBPyConnection, account: str, service: str, first: int, last: int, least: float
) -> None:
    """A story's service costs that much more than on any other day exactly on the days that it tells."""
    costs = dict(
        sql.execute(
            "SELECT day, sum(effective) FROM focus WHERE account = ? AND service = ? "
            "AND ChargeCategory = 'Usage' GROUP BY 1",
            [account, service],
        ).fetchall()
    )
    story = {day(before) for before in range(last, first + 1)}
    usual = max(cost for on, cost in costs.items() if on not in story)
    assert min(costs[on] for on in story) > usual + 0.9 * least


@pytest.mark.parametrize(
    ("where", "first", "last"),
    [
        ("service = 'Amazon Bedrock'", 44, 0),  # adopted
        ("service = 'Amazon Redshift'", 89, 25),  # vanished
        ("ChargeCategory = 'Credit'", 89, 16),  # used up
        ("ChargeClass = 'Correction'", 10, 10),  # refunded once
        ("CommitmentDiscountName = 'redis' AND billed = 4380", 52, 52),  # bought upfront
    ],
)
def test_what_comes_and_goes_does_so_on_its_day(
    sql: duckdb.DuckDBPyConnection, where: str, first: int, last: int
) -> None:
    """What is adopted, vanishes, ends or happens once is on the bill from its first to its last day without a gap."""
    found = sql.execute(f"SELECT min(day), max(day), count(DISTINCT day) FROM focus WHERE {where}").fetchone()
    assert found == (day(first), day(last), first - last + 1)


def test_last_day_is_whole(sql: duckdb.DuckDBPyConnection) -> None:
    """Without its GPU story, the newest day costs what it did a week before: it is not a partial day."""
    story = "account = '111000000034' AND service = 'Amazon SageMaker'"
    usual = f"SELECT sum(effective) FROM focus WHERE day = ? AND NOT ({story})"
    newest, before = (sql.execute(usual, [on]).fetchone()[0] for on in (day(0), day(7)))
    assert newest == pytest.approx(before, rel=0.05)


def test_stories_are_told_with_their_dates(bill: SampleBill, tmp_path: Path) -> None:
    """Each story names its days, and a window tells only what starts in it."""
    told = "\n".join(bill.stories)
    for before in (3, 10, 12, 16, 18, 20, 25, 28, 34, 36, 44, 52):
        assert f"{day(before)}" in told
    assert f"{date(2025, 8, 1)}" in told
    short = write_sample_bill(tmp_path / "sample", LAST_DAY, 4).stories
    assert [story for story in short if "SageMaker" in story] == [bill.stories[0]]
    assert not any("Redshift" in story for story in short)

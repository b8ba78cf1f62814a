"""Whatever the lines: a day's archive is exactly the bill's lines of that UTC day, added up in plain Python.

The oracle knows nothing of SQL: it walks over the lines with `Decimal` and the account map's own dates.
"""

from __future__ import annotations

import tempfile
from collections import defaultdict
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from finops_assets.adapters.local.catalog import SQLiteCatalog
from finops_assets.core.accounts.account_map import Membership
from finops_assets.core.archive import registering
from finops_assets_tests.support.bills import (
    DAY,
    PAYER,
    Line,
    account_map,
    archive_days,
    days_with_charges,
    new_archive,
    open_bill,
    rows_of,
    utc_day,
    write_rows,
)

DAYS = [DAY + timedelta(days=i) for i in range(3)]
HALF_A_CENT = Decimal("0.005")
NOWHERE = "555555555555"

MEMBERSHIPS = (
    Membership("111111111111", "stays", "Engineering/Shop"),
    Membership("222222222222", "moves", "Engineering/Search", valid_to=DAYS[1]),
    Membership("222222222222", "moves", "Sales", valid_from=DAYS[1]),
    Membership("333333333333", "comes and goes", "Sales", valid_from=DAYS[1], valid_to=DAYS[2]),
    Membership(PAYER, "payer", "Root"),
)
ACCOUNTS = ["111111111111", "222222222222", "333333333333", NOWHERE, None]

# Up to 11 decimals, as AWS writes; most of a real bill is next to nothing, and some of it is taken back.
TINY = st.integers(-1_000, 1_000).map(lambda n: Decimal(n).scaleb(-11))
USUAL = st.decimals(-1_000, 1_000, places=11)
LARGE = st.decimals(-(10**9), 10**9, places=4)
COSTS = st.one_of(TINY, USUAL, LARGE, st.just(Decimal(0)))

EDGES = [timedelta(0), timedelta(microseconds=1), timedelta(days=1, microseconds=-1), timedelta(hours=12)]
OFFSETS = st.one_of(st.sampled_from(EDGES), st.integers(0, 86_399).map(lambda s: timedelta(seconds=s)))
HOSTILE = [
    "",
    "NULL",
    "null",
    "'; DROP TABLE bill; --",
    'a"b,c',
    "a\r\nb",
    "Büro ☕ 東京",
    "\u202eright to left",
    "%s{x}",
    " ",
]
NAMES = st.one_of(
    st.none(),
    st.sampled_from(["Amazon EC2", "Amazon S3", *HOSTILE]),
    st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\0"), max_size=12),
)

LINES = st.builds(
    lambda day, offset, **facts: Line(start=datetime.combine(day, datetime.min.time()) + offset, **facts),
    day=st.sampled_from([DAYS[0] - timedelta(days=1), *DAYS, DAYS[-1] + timedelta(days=1)]),
    offset=OFFSETS,
    cost=COSTS,
    service=NAMES,
    account=st.sampled_from(ACCOUNTS),
    category=st.sampled_from(["Usage", "Usage", "Tax", "Credit", "Refund", "Purchase"]),
    length=st.sampled_from([timedelta(hours=1), timedelta(days=30)]),
)
# Every day has a line, so that none is missing; the last lines are there twice, as duplicates are money.
BILLS = st.lists(LINES, max_size=20).map(
    lambda lines: [*lines, *lines[-3:], *(Line(Decimal(1), datetime.combine(day, datetime.min.time())) for day in DAYS)]
)


def ou_of(account: str, day: date) -> str:
    held = [m.ou_path for m in MEMBERSHIPS if m.account_id == account and m.valid_from <= day < m.valid_to]
    return held[0] if held else "Unassigned"


def expected(lines: list[Line]) -> dict[date, dict[tuple[str, str, str], Decimal]]:
    """Day -> (OU, service, account) -> exact cost, line by line."""
    found: dict = defaultdict(lambda: defaultdict(Decimal))
    for one in lines:
        day, account = utc_day(one.start), one.account or PAYER
        if day in DAYS:
            found[day][ou_of(account, day), one.service or "(no service)", account] += one.cost
    return found


@pytest.mark.parametrize(
    ("fmt", "kind", "types"),
    [
        ("focus", "parquet", None),
        ("focus", "csv", None),
        ("cur2", "parquet", {"line_item_unblended_cost": pa.decimal128(38, 12)}),
        ("cur", "csv.gz", None),
    ],
    ids=["FOCUS, doubles", "FOCUS, CSV", "CUR 2.0, decimals", "CUR, gzip"],
)
@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(lines=BILLS)
@example(lines=[Line(Decimal("0.1"), datetime(2025, 9, d, tzinfo=None)) for d in (10, 10, 10, 11, 12)])  # noqa: DTZ001
@example(lines=[Line(Decimal("12345.67"), datetime(2025, 9, d, 23, 59, 59, 999_999)) for d in (10, 11, 12)])  # noqa: DTZ001
def test_the_archive_is_exactly_the_bill(fmt: str, kind: str, types: dict | None, lines: list[Line]) -> None:
    """Exact totals by day, rows to the cent, keys that are there once, and the same through the catalog."""
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        warehouse = open_bill(write_rows(home / "bill" / f"bill.{kind}", rows_of(lines, fmt), types))
        archive = new_archive(home, account_map(*MEMBERSHIPS))
        done = archive_days(warehouse, archive, DAYS)
        assert done.refused == {}
        catalog = SQLiteCatalog(home / "catalog.sqlite", home / "archive")
        assert registering.register_days(archive, catalog, DAYS).wrong == {}
        for day, wanted in expected(lines).items():
            there = archive.describe(day)
            assert there.total == sum(wanted.values())
            assert Decimal(there.metadata["source_total"]) == there.total
            unassigned = sum(cost for (ou, *_), cost in wanted.items() if ou == "Unassigned")
            assert Decimal(there.metadata["unassigned"]) == unassigned
            rows = archive.read([day]).to_pylist()
            keys = [(row["ou"], row["service"], row["linkedaccount"]) for row in rows]
            assert len(keys) == len(set(keys))
            assert set(keys) == set(wanted)
            for key, row in zip(keys, rows, strict=True):
                assert abs(row["cost"] - wanted[key]) < HALF_A_CENT
                assert row["billingdate"] == day
            assert abs(sum(row["cost"] for row in rows) - there.total) < HALF_A_CENT


@settings(max_examples=25, deadline=None)
@given(
    moments=st.lists(
        st.tuples(
            st.datetimes(datetime(2025, 9, 9), datetime(2025, 9, 13)),  # noqa: DTZ001
            st.sampled_from([None, UTC, timezone(timedelta(hours=2)), timezone(-timedelta(hours=9, minutes=30))]),
        ),
        min_size=1,
        max_size=12,
    )
)
def test_every_moment_falls_on_its_utc_day(moments: list[tuple[datetime, timezone | None]]) -> None:
    """Times with zones and without, as text: each line is on the day that Python says."""
    days: dict[date, int] = defaultdict(int)
    rows = []
    for moment, zone in moments:
        there = moment.replace(tzinfo=zone)
        days[utc_day(there)] += 1
        rows.append({**rows_of([Line(Decimal(1))], "focus")[0], "ChargePeriodStart": there.isoformat()})
    with tempfile.TemporaryDirectory() as folder:
        warehouse = open_bill(write_rows(Path(folder) / "bill.csv", rows))
        found = warehouse.source_days(date(2025, 9, 1), date(2025, 9, 30))
        assert {day: there.total for day, there in found.items()} == days
        assert days_with_charges(warehouse) == sorted(days)

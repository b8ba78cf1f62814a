"""The rules by which several bills are one: payers, versions, waiting, and the rows of a day."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pytest

from finops_assets.adapters.shared.several_bills import SeveralBills
from finops_assets.core.archive.available_days import days_to_archive
from finops_assets.core.archive.breakdown import fingerprint
from finops_assets.core.archive.merged_rows import merged
from finops_assets.core.bill.payers import refuse_covered_twice, superseded
from finops_assets.core.bill.providers import cost_in_words, provider_name, providers_in_words
from finops_assets.core.bill.several import combined_version
from finops_assets.core.bill.totals import bill_totals
from finops_assets.core.errors import ArchiveError, BillError
from finops_assets.core.schemas import CHARGES_OF_ROW, MONEY
from finops_assets.core.values import ControlTotal, ExportVersion, PayerPeriod, SourceDay
from finops_assets_tests.support.bills import account_map, at, line, make_bill, open_bill

DAY = date(2025, 9, 10)
P, Q = "111111111111", "222222222222"


def has(*months: str, payer: str = P) -> list[PayerPeriod]:
    return [PayerPeriod(payer, month, 1) for month in months]


# --- payers -------------------------------------------------------------------------------------------------------


def test_an_export_and_its_successor_have_no_month_in_common() -> None:
    """They are read together; a month that both have is refused with both names."""
    refuse_covered_twice({"old": has("2025-07", "2025-08"), "new": has("2025-09"), "other": has("2025-08", payer=Q)})
    with pytest.raises(BillError) as refused:
        refuse_covered_twice({"old": has("2025-07", "2025-08"), "new": has("2025-08", "2025-09")})
    for word in ("old and new", P, "2025-08"):
        assert word in str(refused.value)


def test_a_bill_whose_payers_go_on_elsewhere_has_ended() -> None:
    """One of whose two payers ends has not; nor has the newest."""
    assert superseded({"old": has("2025-08"), "new": has("2025-09")}) == {"old"}
    assert superseded({"old": [*has("2025-08"), *has("2025-08", payer=Q)], "new": has("2025-09")}) == frozenset()


# --- versions and waiting -----------------------------------------------------------------------------------------

EVENING, MORNING = datetime(2025, 9, 10, 20, tzinfo=UTC), datetime(2025, 9, 11, 5, tzinfo=UTC)


@pytest.mark.parametrize(
    ("last_day", "ended", "updated", "oldest"),
    [
        (None, (), EVENING, "azure"),
        (date(2025, 8, 31), (), MORNING, ""),
        (date(2025, 12, 31), (), EVENING, "azure"),
        (None, ("azure",), MORNING, ""),
    ],
)
def test_all_are_as_old_as_the_one_that_was_written_first_unless_it_has_ended(
    last_day: date | None, ended: tuple[str, ...], updated: datetime, oldest: str
) -> None:
    """It has by bill.last_day, or as its payers go on in another bill."""
    versions = {"aws": ExportVersion("a", MORNING), "azure": ExportVersion("b", EVENING)}
    version = combined_version(versions, {"azure": last_day}, lambda: frozenset(ended))
    assert (version.updated, version.oldest) == (updated, oldest)


def test_the_version_is_that_of_each_whatever_their_order() -> None:
    """A change of one changes it, and its month's id alone."""
    one = ExportVersion("a", MORNING, periods={"2025-08": "x", "2025-09": "y"})
    other = ExportVersion("b", MORNING, periods={"2025-09": "z"})
    together = combined_version({"one": one, "other": other}, {}, frozenset)
    again = combined_version({"other": other, "one": one}, {}, frozenset)
    assert (together.snapshot, together.periods) == (again.snapshot, again.periods)
    changed = ExportVersion("c", MORNING, periods={"2025-09": "new"})
    after = combined_version({"one": one, "other": changed}, {}, frozenset)
    assert after.snapshot != together.snapshot
    assert after.periods["2025-08"] == together.periods["2025-08"]
    assert after.periods["2025-09"] != together.periods["2025-09"]


def lines_on(bill: str, days: Iterable[int], *, ended: bool = False) -> list[ControlTotal]:
    return [
        ControlTotal("2025-09", date(2025, 9, day), "USD", "", 1, 0, Decimal(1), bill=bill, ended=ended) for day in days
    ]


@pytest.mark.parametrize(
    ("azure", "waits"),
    [
        (range(1, 10), True),  # up to the day before
        (range(1, 11), False),
        ([1], False),  # a payer that is charged once a month
        ([1, 5, 9], False),
        (range(1, 5), True),  # it has not got further for days, and yesterday still waits
    ],
)
def test_a_day_waits_for_a_bill_that_has_lines_on_every_day_but_not_on_it(azure: Iterable[int], waits: bool) -> None:
    """For two days: what comes later restates them. A bill that has ended is not waited for."""
    now = datetime(2025, 9, 11, 7, tzinfo=UTC)
    totals = bill_totals([*lines_on("aws", range(1, 11)), *lines_on("azure", azure)])
    whole, left_out = days_to_archive(totals, [DAY], None, now)
    assert (whole, list(left_out)) == (([], [DAY]) if waits else ([DAY], []))
    assert not waits or "azure" in left_out[DAY]
    assert days_to_archive(totals, [DAY], None, now + timedelta(days=2)) == ([DAY], {})
    totals = bill_totals([*lines_on("aws", range(1, 11)), *lines_on("azure", azure, ended=True)])
    assert days_to_archive(totals, [DAY], None, now) == ([DAY], {})


# --- rows ---------------------------------------------------------------------------------------------------------


def batch(*rows: tuple[date, str, str]) -> pa.RecordBatch:
    """Rows of one account and OU: (day, service, cost)."""
    return pa.record_batch(
        {
            "billingdate": pa.array([day for day, _, _ in rows], pa.date32()),
            "ou": ["Dev"] * len(rows),
            "service": [service for _, service, _ in rows],
            "linkedaccount": ["1"] * len(rows),
            "dailycost": [float(cost) for _, _, cost in rows],
            **{
                name: pa.array(
                    [Decimal(cost) if name in ("cost", "usagecost") else Decimal() for *_, cost in rows], MONEY
                )
                for name in ("cost", *CHARGES_OF_ROW)
            },
        }
    )


def test_rows_are_merged_in_archive_order_and_exactly() -> None:
    """Sums have all twelve places; a day of one bill alone is as it was; names are ordered by their bytes."""
    next_day = DAY + timedelta(days=1)
    one = [batch((DAY, "B", "0.1"), (DAY, "Z", "1")), batch((DAY, "a", "2"), (next_day, "B", "3"))]
    other = [batch((DAY, "A", "4"), (DAY, "B", "0.200000000001"), (DAY, "Ä", "5"))]
    rows = pa.Table.from_batches(merged({"one": one, "other": other})).to_pylist()
    assert all(row["usagecost"] == row["cost"] for row in rows)
    assert [(row["billingdate"], row["service"], row["cost"], row["dailycost"]) for row in rows] == [
        (DAY, "A", Decimal(4), 4.0),
        (DAY, "B", Decimal("0.300000000001"), 0.300000000001),
        (DAY, "Z", Decimal(1), 1.0),
        (DAY, "a", Decimal(2), 2.0),
        (DAY, "Ä", Decimal(5), 5.0),
        (next_day, "B", Decimal(3), 3.0),
    ]


def test_what_one_bill_does_not_tell_is_not_told_of_both() -> None:
    """An amortized cost of one bill alone is none of the account."""
    one, other = batch((DAY, "A", "3"), (DAY, "B", "1")), batch((DAY, "A", "5"))
    unknown = pa.array([None], MONEY)
    other = other.set_column(other.schema.names.index("effectivecost"), "effectivecost", unknown)
    rows = pa.Table.from_batches(merged({"one": [one], "other": [other]}))
    assert [(row["service"], row["usagecost"], row["effectivecost"]) for row in rows.to_pylist()] == [
        ("A", Decimal(8), None),
        ("B", Decimal(1), Decimal(0)),
    ]


def test_faults_of_two_bills_that_hide_each_other_are_found() -> None:
    """One bill has a unit too much, the other one too little: the sum is right, and neither bill is."""

    def source(total: str) -> dict[date, SourceDay]:
        return {DAY: SourceDay(DAY, "USD", 1, Decimal(total), Decimal(), {})}

    streams = {"one": [batch((DAY, "A", "3"))], "other": [batch((DAY, "A", "5"))]}
    assert list(merged(streams, {"one": source("3"), "other": source("5")}))
    with pytest.raises(ArchiveError, match="one and other"):
        list(merged(streams, {"one": source("4"), "other": source("4")}))


def test_lines_give_the_same_days_in_one_bill_and_in_two(tmp_path: Path) -> None:
    """Rows, fingerprints, drivers, accounts and control totals: only the bills' names are more."""
    lines = [
        line(cost, start=at(day), service=service, account=account, extra={"BillingAccountId": payer})
        for day in (DAY - timedelta(days=7), DAY)
        for cost, service, account, payer in (
            ("1.1", "S3", "a", P),
            ("2.2", "S3", "a", Q),
            ("3.3", "EC2", "b", P),
            ("-0.000000000001", "Tax", "c", Q),
        )
    ]
    whole = open_bill(make_bill(tmp_path / "whole", lines))
    parts = {
        payer: open_bill(make_bill(tmp_path / payer, [of for of in lines if of.extra["BillingAccountId"] == payer]))
        for payer in (P, Q)
    }
    union = SeveralBills(parts, {})
    first, accounts = DAY - timedelta(days=7), account_map()
    assert union.fingerprints(first, DAY, accounts) == whole.fingerprints(first, DAY, accounts)
    rows = [pa.Table.from_batches(bill.breakdown(DAY, DAY, accounts)) for bill in (union, whole)]
    assert rows[0].equals(rows[1])
    assert union.fingerprints(DAY, DAY, accounts)[DAY].fingerprint == fingerprint(rows[0])
    assert union.drivers(DAY, first).equals(whole.drivers(DAY, first))
    assert union.accounts().equals(whole.accounts())
    together, alone = (bill_totals(bill.control_totals()) for bill in (union, whole))
    assert (together.days, together.months, together.currency) == (alone.days, alone.months, alone.currency)
    days, of_whole = union.source_days(first, DAY), whole.source_days(first, DAY)
    assert {day: (of.lines, of.total, of.by_category) for day, of in days.items()} == {
        day: (of.lines, of.total, of.by_category) for day, of in of_whole.items()
    }
    assert [(share.name, share.lines, share.total) for share in days[DAY].bills] == [
        (P, 2, Decimal("4.4")),
        (Q, 2, Decimal("2.199999999999")),
    ]


def test_a_bill_that_does_not_name_its_payer_is_refused_beside_others(tmp_path: Path) -> None:
    """Nobody could tell whether it counts twice; the column is named."""
    one = open_bill(make_bill(tmp_path / "one", [line(1)]))
    rows = [line(1, extra={"BillingAccountId": None})]
    other = make_bill(tmp_path / "other", rows, "focus", "csv")
    other.write_text(other.read_text().replace("BillingAccountId", "SomethingElse"))
    with pytest.raises(BillError) as refused:
        SeveralBills({"one": one, "other": open_bill(other)}, {}).source_days(DAY, DAY)
    assert "billingaccountid" in refused.value.what
    assert "other" in refused.value.what


# --- words --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("named", "name"),
    [
        ("", "AWS"),
        ("AWS", "AWS"),
        ("Amazon Web Services EMEA SARL", "AWS"),
        ("Amazon Web Services, Inc.", "AWS"),
        (" Microsoft ", "Microsoft"),
        ("Oracle", "Oracle"),
    ],
)
def test_a_provider_has_one_name(named: str, name: str) -> None:
    """Invoices of AWS come from companies of several names."""
    assert provider_name(named) == name


def test_titles_name_three_providers_at_most() -> None:
    """A bill that names none is AWS's."""
    assert providers_in_words(()) == "AWS"
    assert cost_in_words(("Microsoft", "AWS")) == "AWS and Microsoft cost"
    assert cost_in_words(("Oracle", "AWS", "Microsoft")) == "AWS, Microsoft and Oracle cost"
    assert cost_in_words("ABCD") == "Cloud cost"

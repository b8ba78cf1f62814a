"""What the platform itself costs: noted as it happens, told the next morning, and nothing where nothing was paid."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest

from finops_assets.adapters.shared.archive import ObjectArchive, folder_store
from finops_assets.core.delivery.own_cost import note_mails, note_queries, own_cost
from finops_assets.core.values import Delivery, QueryReceipt

DAY = date(2025, 9, 11)


@pytest.fixture
def archive(tmp_path: Path) -> ObjectArchive:
    return ObjectArchive(folder_store(str(tmp_path / "archive")))


def query(name: str, scanned: int, price: str) -> QueryReceipt:
    return QueryReceipt(name, "a test", scanned, 1.5, Decimal(price))


def test_a_day_costs_what_its_queries_mails_and_objects_do(archive: ObjectArchive) -> None:
    """Sums over all runs of the day; the same note twice counts once; another day's is another day's."""
    first, second = [query("q1", 10**9, "0.005"), query("q2", 10**9, "0.005")], [query("q3", 10**6, "0.00005")]
    for receipts in (first, second, second):
        note_queries(archive, receipts, DAY)
    note_queries(archive, [query("q4", 10**12, "5")], DAY.replace(day=12))
    note_mails(archive, [Delivery(f"p{n}@example.com", f"<{n}@x>", "somewhere") for n in range(3)], DAY)
    archive.put("blob", b"x" * 1_000_000)
    told = own_cost(archive, DAY)
    assert told.day == DAY
    (athena, athena_cost), (mails, mails_cost), (kept, kept_cost) = told.lines
    assert (athena, athena_cost) == ("Athena: 3 queries, 2.0 GB scanned", Decimal("0.01005"))
    assert (mails, mails_cost) == ("SES: 3 messages", Decimal("0.0003"))
    assert kept == "S3: 1.0 MB kept"
    assert Decimal("7.6e-7") < kept_cost < Decimal("7.8e-7")
    assert told.total == athena_cost + mails_cost + kept_cost


def test_where_nothing_is_paid_nothing_is_told(archive: ObjectArchive) -> None:
    """Without a paid query there is no note, not even of mails: the embedded platform costs nothing."""
    note_queries(archive, [], DAY)
    note_mails(archive, [Delivery("a@example.com", "<1@x>", "a file")], DAY)
    assert archive.list("own-cost/") == []
    assert own_cost(archive, DAY) is None

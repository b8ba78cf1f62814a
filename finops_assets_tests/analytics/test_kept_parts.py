"""The kept parts of a day's change: made with the scorecard, of both days as they are archived, and exact."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pytest

from finops_assets.core.analytics import kept_parts, moved_parts
from finops_assets.core.analytics.anomalies import Episode
from finops_assets.core.analytics.drivers import Driver, Drivers
from finops_assets.core.analytics.explanations import explained
from finops_assets.core.analytics.moved_parts import as_parts
from finops_assets.core.analytics.moves import episode_causes
from finops_assets.core.analytics.scoring import Scoring, read
from finops_assets.core.archive.journal import Journal
from finops_assets.core.errors import DamagedError
from finops_assets.core.ports import Archive, Warehouse
from finops_assets.core.schemas import MOVED_PARTS, moved_parts_path
from finops_assets_tests.analytics.test_drivers import OTHER, THIRD, use
from finops_assets_tests.support.bills import DAY, Line, archive_days, make_bill, new_archive, open_bill

WEEK = timedelta(days=7)
DAYS = (DAY - WEEK, DAY - timedelta(days=6), DAY, DAY + timedelta(days=1))
"""Two pairs of days that are compared with each other."""

NOW = datetime(2025, 9, 12, 7, tzinfo=UTC)


def lines(grown: str = "30") -> list[Line]:
    steady = [use("cur2", day, "10", "5") for day in DAYS]
    return [*steady, *(use("cur2", day, grown, grown, sku="Requests", service="Amazon S3") for day in DAYS[2:])]


def scored(folder: Path, archive: Archive, of: Sequence[Line], days: Sequence[date]) -> Warehouse:
    """The bill, of which these days are archived and scored."""
    warehouse = open_bill(make_bill(folder, list(of), "cur2"))
    assert archive_days(warehouse, archive, list(days)).refused == {}
    Scoring(warehouse, archive, Journal(archive)).score(list(days), NOW)
    return warehouse


@pytest.fixture
def archive(tmp_path: Path) -> Archive:
    return new_archive(tmp_path)


def test_the_parts_are_kept_of_the_days_as_they_are_archived(tmp_path: Path, archive: Archive) -> None:
    """They sum to the change, are the same bytes again, and are used by nobody once one of the days is another."""
    scored(tmp_path / "1", archive, lines(), DAYS[:2])
    warehouse = scored(tmp_path / "2", archive, lines(), DAYS[2:3])
    data = archive.get(moved_parts_path(DAY)) or b""
    parts = kept_parts.read(data)
    assert parts.rows.schema.equals(MOVED_PARTS)
    (row,) = (each for each in parts.rows.to_pylist() if each["service"] == "Amazon S3")
    assert (row["cause"], row["usagetype"], row["change"], row["volume"]) == ("new service", "Requests", 30, 30)
    before, now = archive.describe(DAY - WEEK), archive.describe(DAY)
    assert before
    assert now
    assert sum(parts.rows["change"].to_pylist()) == now.total - before.total
    assert [kept_parts.to_parquet(kept_parts.read(data)) == data, explained(warehouse, archive, DAY).kept] == [True] * 2
    card = read(archive, now)
    assert card
    assert card.parts == parts

    other = make_bill(tmp_path / "3", [use("cur2", DAYS[0], "10", "4")], "cur2")
    assert archive_days(open_bill(other), archive, [DAYS[0]]).refused == {}
    assert not explained(warehouse, archive, DAY).kept
    assert read(archive, now).parts is None  # type: ignore[union-attr]


def test_days_that_have_changed_have_theirs_made_anew(tmp_path: Path, archive: Archive) -> None:
    """Those of the week before the last day of a run; of older days no query shall find outdated ones."""
    scored(tmp_path / "1", archive, lines(), DAYS[:2])
    for day in DAYS[2:]:
        scored(tmp_path / "2", archive, lines(), [day])
    scored(tmp_path / "3", archive, lines("40"), DAYS[2:])
    for day in DAYS[2:]:
        assert sum(kept_parts.read(archive.get(moved_parts_path(day)) or b"").rows["change"].to_pylist()) == 40
    days = [DAY + timedelta(days=n) for n in range(10)]
    late = [*lines("50"), *(use("cur2", day, "10", "5") for day in days[2:])]
    scored(tmp_path / "4", archive, late, days)
    assert archive.get(moved_parts_path(DAY)) is None
    assert archive.get(moved_parts_path(days[-1])) is not None


def test_parts_that_do_not_add_up_are_damaged(tmp_path: Path, archive: Archive) -> None:
    """An object in which a change is not what makes it is put aside, as other damaged notes are."""
    scored(tmp_path / "1", archive, lines(), [DAYS[0]])
    scored(tmp_path / "2", archive, lines(), [DAY])
    parts = kept_parts.read(archive.get(moved_parts_path(DAY)) or b"")
    at = parts.rows.schema.get_field_index("volume")
    rows = parts.rows.set_column(at, parts.rows.schema.field(at), parts.rows["price"])
    with pytest.raises(DamagedError):
        kept_parts.read(kept_parts.to_parquet(replace(parts, rows=rows)))
    with pytest.raises(DamagedError):
        kept_parts.read(b"PAR1")


@pytest.mark.parametrize("column", ["costnow", "change", "volume"])
def test_parts_that_add_up_together_alone_are_damaged(column: str, tmp_path: Path, archive: Archive) -> None:
    """A cent moved from one part to another; nor may an amount be missing."""
    bill = [*lines(), *(use("cur2", day, cost, cost, sku="Puts") for day, cost in zip(DAYS, "1234", strict=True))]
    scored(tmp_path / "1", archive, bill, [DAYS[0]])
    scored(tmp_path / "2", archive, bill, [DAY])
    parts = kept_parts.read(archive.get(moved_parts_path(DAY)) or b"")
    at, (first, *between, last) = parts.rows.schema.get_field_index(column), parts.rows[column].to_pylist()
    cent = Decimal("0.01")
    for wrong in ([first + cent, *between, last - cent], [None, *between, last]):
        rows = parts.rows.set_column(at, parts.rows.schema.field(at), pa.array(wrong, parts.rows.schema.field(at).type))
        with pytest.raises(DamagedError):
            kept_parts.read(kept_parts.to_parquet(replace(parts, rows=rows)))


def episode(kind: str, first: date, last: date, impact: int, service: str = "Amazon S3") -> Episode:
    costs = Decimal(max(0, -impact)), Decimal(max(0, impact))
    return Episode(f"A-{kind}", "Engineering", service, "", kind, "open", first, last, *costs, 5.0, "a reason")


def test_an_episode_has_the_cause_of_its_first_days(tmp_path: Path, archive: Archive) -> None:
    """Compared with a day before it began; what moved the other way does not cause it."""
    scored(tmp_path / "1", archive, lines(), DAYS[:2])
    scored(tmp_path / "2", archive, lines(), [DAY])
    new = episode("new", DAY, DAY, 30)
    words = "new service of Requests, 111122223333, +30.00"
    assert episode_causes(archive, [new]) == {"A-new": words}
    long = episode("rise", DAY - timedelta(days=9), DAY, 30)
    assert episode_causes(archive, [long]) == {}, "the day it is compared with is in it, too"
    assert episode_causes(archive, [replace(long, kind="drift", id="A-drift")]) == {"A-drift": words}
    assert episode_causes(archive, [episode("drop", DAY, DAY, -30)]) == {}


def test_of_many_movers_the_largest_are_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    """All others of an OU are one part with all of their change and effects; new accounts are another."""
    monkeypatch.setattr(moved_parts, "MOST_MOVERS", 1)
    small = Driver("Eng", "EC2", OTHER, Decimal(5), Decimal(4), {"price": Decimal(1), "credits": Decimal(-2)})
    large = Driver("Eng", "RDS", OTHER, Decimal(5), Decimal(9), {"volume": Decimal(4)})
    row = {
        "linkedaccount": OTHER,
        "service": "RDS",
        "ou": None,
        "kind": "use",
        "usage_type": "db.m5",
        "region": "",
        "resource": "",
        "part": 1,
        "newregion": False,
        "before": Decimal(5),
        "now": Decimal(9),
        "volume": Decimal(4),
        "price": Decimal(),
        "coverage": Decimal(),
        "other": Decimal(),
        "quantitybefore": 5.0,
        "quantitynow": 9.0,
    }
    table = as_parts(pa.Table.from_pylist([row], as_parts(None).schema))
    new = Driver("Eng", "S3", THIRD, Decimal(), Decimal(2), {"new_account": Decimal(2)})
    left = Driver("Eng", "SQS", THIRD, Decimal(3), Decimal(), {"moved": Decimal(-3)})
    joined = Driver("Web", "SQS", THIRD, Decimal(), Decimal(3), {"moved": Decimal(2), "volume": Decimal(1)})
    drivers = Drivers.of(DAY, DAY - WEEK, "USD", "billed", (small, large, new, left, joined))
    *others, part = moved_parts.moved_parts(table, replace(drivers, table=drivers.table.slice(0, 4)), {})
    assert [(of.kind, of.before, of.now, of.effects) for of in others] == [
        ("rest", 0, 2, {"new_account": 2}),
        ("moved", 3, 0, {"moved": -3}),
        ("rest", 5, 4, {"price": 1, "other": -2}),
    ]
    *_, moved, rest = moved_parts.moved_parts(table, drivers, {})
    assert [(of.ou, of.kind, of.before, of.now, of.effects) for of in (moved, rest)] == [
        ("Web", "moved", -2, 0, {"moved": 2}),
        ("Web", "rest", 2, 3, {"volume": 1}),
    ]
    assert (part.usage_type, part.delta) == ("db.m5", 4)
    short = replace(large, now=Decimal("9.000000000001"), effects={"volume": Decimal("4.000000000001")})
    (*_, part) = moved_parts.moved_parts(table, Drivers.of(DAY, DAY - WEEK, "USD", "billed", (small, short)), {})
    assert part.effects == {"volume": 4, "other": Decimal("1E-12")}, "what rounding in another currency leaves over"

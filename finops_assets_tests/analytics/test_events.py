"""The calendar of planned events: what it covers, and what it says of a row that it cannot read."""

from __future__ import annotations

from datetime import date

import pytest

from finops_assets.core.analytics.events import COLUMNS, Event, EventError, planned, read_events

FIRST, LAST = date(2025, 11, 24), date(2025, 12, 1)


def calendar(*rows: str) -> tuple[Event, ...]:
    return read_events("\n".join((",".join(COLUMNS), *rows, "")).encode(), "events.csv")


@pytest.mark.parametrize(
    ("ou", "service", "covered"),
    [
        ("Workloads", "", True),
        ("Workloads/Prod", "Amazon EC2", True),
        ("WorkloadsToo", "", False),
        ("Data", "", False),
        ("All", "", False),
    ],
)
def test_an_event_of_an_ou_covers_what_lies_below_it(ou: str, service: str, covered: bool) -> None:
    """An OU's whole subtree is planned, and neither its neighbours nor the organization above it."""
    (event,) = calendar('2025-11-24,2025-12-01,Workloads/,,"Sale, with all shops"')
    assert event == Event(FIRST, LAST, "Workloads", "", "Sale, with all shops")
    assert event.covers(ou, service, FIRST, LAST) is covered


@pytest.mark.parametrize("everywhere", ["All", ""])
def test_all_and_nothing_both_mean_every_ou(everywhere: str) -> None:
    """A service may be planned in every OU; the others stay unplanned."""
    events = calendar(f"2025-11-24,2025-12-01,{everywhere},amazon s3,Migration of the archive")
    assert planned(events, "Data", "Amazon S3", FIRST, FIRST) == events[0]
    assert planned(events, "Data", "Amazon EC2", FIRST, FIRST) is None
    assert planned(events, "Data", "", FIRST, FIRST) is None


def test_what_lasts_longer_than_planned_is_not_covered() -> None:
    """The days of an event are inclusive, and one day before or after them is not planned."""
    events = calendar("2025-11-24,2025-12-01,All,,Sale")
    assert planned(events, "Data", "", FIRST, LAST)
    assert planned(events, "Data", "", date(2025, 11, 23), LAST) is None
    assert planned(events, "Data", "", FIRST, date(2025, 12, 2)) is None


def test_a_calendar_without_rows_plans_nothing_and_order_of_columns_is_free() -> None:
    """A header alone is a calendar; columns may be in another order, with others beside them."""
    assert calendar() == ()
    shuffled = b"\xef\xbb\xbfWhat,note,Service,OU,Last,First\nSale,,,Data,2025-12-01,2025-11-24\n\n"
    assert read_events(shuffled, "events.csv") == (Event(FIRST, LAST, "Data", "", "Sale"),)


@pytest.mark.parametrize(
    ("row", "line", "said"),
    [
        ("2025-11-24,2025-12-01,All,,", 2, "does not say what is planned"),
        ("24.11.2025,2025-12-01,All,,Sale", 2, "first is '24.11.2025', no day"),
        ("2025-11-24,2025-02-30,All,,Sale", 2, "last is '2025-02-30', no day"),
        ("2025-12-01,2025-11-24,All,,Sale", 2, "ends on 2025-11-24, before it begins"),
        ("2025-11-24,2025-12-01,All,,Sale, with all shops", 2, "has 6 fields, its header 5"),
        ("2025-11-24,2025-12-01,All,,Sale\n2025-11-24,2025-12-01,,,Sale", 3, "is the same as line 2"),
    ],
)
def test_a_row_that_cannot_be_read_names_its_line_and_what_to_do(row: str, line: int, said: str) -> None:
    """No row is skipped: each has its file and line, what is wrong with it, and the fix."""
    with pytest.raises(EventError) as raised:
        calendar(row)
    assert raised.value.where == f"events.csv, line {line}"
    assert said in raised.value.what
    assert raised.value.fix


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"first,last,ou,what\n", "no column service"),
        (b"", "is empty"),
        (b"\xff\xfe", "no CSV file in UTF-8"),
        (b'first,last,ou,service,what\n"2025', "no CSV file in UTF-8"),
    ],
)
def test_a_file_that_is_no_calendar_says_what_one_looks_like(data: bytes, said: str) -> None:
    """A missing column, an empty file and another encoding are named."""
    with pytest.raises(EventError, match=said) as raised:
        read_events(data, "events.csv")
    assert raised.value.where == "events.csv"
    assert raised.value.fix

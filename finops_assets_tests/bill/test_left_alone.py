"""Files that are still being copied wait: what changes while it is read is not believed."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from finops_assets.core.archive.bill_comparison import is_being_written
from finops_assets.core.errors import BeingWrittenError
from finops_assets_tests.support.bills import DAY, account_map, line, make_bill, open_bill, write_data_export


def test_a_file_that_grows_while_it_is_read_is_not_believed(tmp_path: Path) -> None:
    warehouse = open_bill(make_bill(tmp_path, [line(1)], kind="csv"))
    batches = warehouse.breakdown(DAY, DAY, account_map())
    next(batches)
    with (tmp_path / "focus.csv").open("a") as file:
        file.write("\n")
    with pytest.raises(BeingWrittenError) as error:
        list(batches)
    assert error.value.where == str(tmp_path / "focus.csv")


def test_a_copy_that_keeps_its_time_is_seen_as_just_written(tmp_path: Path) -> None:
    """`cp -p` and `rsync -t` give a file the time of its original, as soon as it is there."""
    file = make_bill(tmp_path, [line(1)], kind="csv")
    os.utime(file, (1_700_000_000, 1_700_000_000))
    version, now = open_bill(tmp_path).export_version(), datetime.now(UTC)
    assert is_being_written(version, now)
    assert not is_being_written(version, now + timedelta(minutes=2))


def test_what_a_manifest_names_is_whole_at_once(tmp_path: Path) -> None:
    write_data_export(tmp_path, [line(1)])
    assert not is_being_written(open_bill(tmp_path).export_version(), datetime.now(UTC))

"""The sample bill's files: both exports with their manifests, the account map, the budgets, the calendar of events.

This module loads NumPy and Arrow; the package loads it late.
"""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Iterable, Sequence
from datetime import date, timedelta
from hashlib import blake2b
from pathlib import Path
from uuid import UUID

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from finops_assets.core.errors import FinopsError
from finops_assets.stories.sample_bill import SampleBill
from finops_assets.stories.sample_bill.charge_lines import charge_lines
from finops_assets.stories.sample_bill.cur2_export import cur2_table
from finops_assets.stories.sample_bill.focus_export import focus_table
from finops_assets.stories.sample_bill.organization import ACCOUNTS, BUDGETS
from finops_assets.stories.sample_bill.story_days import MOVED, MOVED_BEFORE, MOVED_TO, SPIKE_FIRST, SPIKE_LAST, STORIES

BUCKET = "example-billing-exports"
ENTRIES = {"focus", "cur2", "accounts.csv", "budgets.csv", "events.csv"}


def write(folder: Path, last_day: date, days: int) -> SampleBill:
    """Write both exports and the account map; see `write_sample_bill`."""
    if days < 1:
        raise ValueError(f"days must be 1 or more, not {days}")
    folder = folder.absolute()
    others = sorted({entry.name for entry in folder.iterdir()} - ENTRIES) if folder.exists() else []
    if others:
        raise FinopsError(
            f"the folder holds more than a sample bill ({', '.join(others[:3])})",
            where=str(folder),
            fix="Name a folder that is new or empty",
        )
    partial = folder.with_name(f".{folder.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    lines = charge_lines(last_day, days)
    focus, cur2 = focus_table(lines, last_day), cur2_table(lines, last_day)
    write_export(partial / "focus", "sample-focus", "FOCUS_1_2_AWS", focus, "BillingPeriodStart")
    write_export(partial / "cur2", "sample-cur2", "COST_AND_USAGE_REPORT", cur2, "bill_billing_period_start_date")
    write_accounts(partial / "accounts.csv", last_day)
    write_rows(partial / "budgets.csv", ("ou", "month", "amount", "currency"), BUDGETS)
    write_rows(partial / "events.csv", ("first", "last", "ou", "service", "what"), planned_events(last_day))
    if folder.exists():
        shutil.rmtree(folder)
    partial.rename(folder)
    return SampleBill(
        focus=folder / "focus",
        cur2=folder / "cur2",
        accounts=folder / "accounts.csv",
        budgets=folder / "budgets.csv",
        events=folder / "events.csv",
        first_day=last_day - timedelta(days=days - 1),
        last_day=last_day,
        lines=focus.num_rows,
        stories=stories(last_day, days),
    )


def stories(last_day: date, days: int) -> tuple[str, ...]:
    """What is hidden in the bill, the newest first, as far as the window reaches back to where it starts."""
    sentences = [
        story.text.format(*(last_day - timedelta(days=before) for before in story.before))
        for story in STORIES
        if max(story.before, default=0) < days
    ]
    window = (last_day - timedelta(days=before) for before in range(days))
    firsts = [f"{day}" for day in window if day.day == 1]
    if firsts:
        sentences.append(
            f"Tax, support and reservation fees of a whole month are booked on its first day: {', '.join(firsts)}."
        )
    return tuple(sentences)


def write_export(prefix: Path, export: str, source: str, lines: pa.Table, period_column: str) -> None:
    """Lay the lines out as Data Exports does: a file and a manifest for each billing period, the manifest last."""
    months = lines.column(period_column).to_numpy().astype("datetime64[M]")
    periods, starts = np.unique(months, return_index=True)
    for period, start, end in zip(periods, starts, [*starts[1:], len(months)], strict=True):
        file = Path(export, "data", f"BILLING_PERIOD={period}", f"{export}-00001.snappy.parquet")
        (prefix / file).parent.mkdir(parents=True)
        # Without the Arrow schema, as AWS writes it: what is read back depends on Parquet's own types alone.
        pq.write_table(lines.slice(start, end - start), prefix / file, compression="snappy", store_schema=False)
        content = blake2b((prefix / file).read_bytes(), digest_size=16).digest()
        manifest = {
            "exportName": export,
            "table": source,
            "billingPeriod": str(period),
            "executionId": str(UUID(bytes=content)),
            "dataFiles": [f"s3://{BUCKET}/{prefix.name}/{file.as_posix()}"],
            "columns": lines.column_names,
        }
        path = prefix / export / "metadata" / f"BILLING_PERIOD={period}" / f"{export}-Manifest.json"
        path.parent.mkdir(parents=True)
        path.write_text(json.dumps(manifest, indent=2) + "\n", encoding="utf-8")


def write_accounts(path: Path, last_day: date) -> None:
    """The account-to-OU map: a row for each account, and one more from the day that an account moved."""
    rows = []
    for account in ACCOUNTS:
        rows.append((account.id, account.name, account.ou_path, "", business_unit(account.ou_path)))
        if account.name == MOVED:
            moved = f"{last_day - timedelta(days=MOVED_BEFORE)}"
            rows.append((account.id, account.name, MOVED_TO, moved, business_unit(MOVED_TO)))
    write_rows(path, ("account_id", "account_name", "ou_path", "valid_from", "business_unit"), rows)


def business_unit(ou_path: str) -> str:
    """Which part of the company an OU works for; empty where nobody has said."""
    units = {"Workloads": "Commerce", "Data": "Insights", "Platform": "Technology", "Security": "Technology"}
    return units.get(ou_path.partition("/")[0], "")


def planned_events(last_day: date) -> list[tuple]:
    """What was known before: the calendar's rows."""
    first, last = (last_day - timedelta(days=before) for before in (SPIKE_FIRST, SPIKE_LAST))
    return [(first, last, "Platform/Network", "", "move out of the old data center")]


def write_rows(path: Path, header: Sequence[str], rows: Iterable[Sequence]) -> None:
    """A CSV file."""
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows([header, *rows])

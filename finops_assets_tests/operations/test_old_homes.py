"""A home that an earlier release has made is read, and gone on with: nothing of it is lost, doubled or mailed again.

homes/before_records.zip was made by the release before records had versions: 13 days, one of them restated after it was
mailed, two revisions of a digest with an edition, a resend, an episode, two open incidents and a closed one, evidence.
"""

from __future__ import annotations

import json
import zipfile
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path

import pytest

from finops_assets.core.analytics import episodes
from finops_assets.core.archive.journal import Journal
from finops_assets.core.delivery import receipts
from finops_assets.core.errors import FinopsError
from finops_assets.core.operations.incidents import Incidents
from finops_assets.core.records import KEY, NewerRecordError, RecordType
from finops_assets.platform import Platform, build_platform
from finops_assets.settings.load import load_settings
from finops_assets_tests.support.command import finops

HOME = Path(__file__).parent / "homes" / "before_records.zip"
NEWEST, RESTATED = date(2025, 9, 10), date(2025, 9, 9)
NOON = datetime(2025, 9, 11, 14, tzinfo=UTC)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where the old home was unpacked, with its bill and its finops.toml."""
    with zipfile.ZipFile(HOME) as packed:
        packed.extractall(tmp_path)
    return tmp_path


@pytest.fixture
def platform(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Platform:
    monkeypatch.chdir(folder)
    return build_platform(load_settings({}), clock=lambda: NOON)


def test_every_record_is_read(platform: Platform) -> None:
    """By its own reader, with the figures that were written; none is put aside as damaged."""
    digests, records = platform.outbox.digests, platform.outbox.records
    stored = digests.latest(NEWEST)
    assert (stored.revision, stored.total, stored.says[RESTATED]) == (2, Decimal("12.75"), Decimal("92.75"))
    assert stored.editions["Engineering/Web"].total == Decimal("10")
    assert digests.load(stored).subject == stored.subject
    state = records.mailed(NEWEST)
    assert (state.state, state.recipients) == ("sent", ("ann@example.com", "ben@example.com", "lead@example.com"))
    assert records.mailed(date(2025, 9, 1)).covered_by == NEWEST
    assert receipts.mailed_totals(platform.archive)[RESTATED] == Decimal("92.75")
    assert receipts.mailed_totals_by_ou(platform.archive)["Engineering/Web"][RESTATED] == Decimal("90")
    (told,) = episodes.read(platform.archive).notifications
    assert (told.episode.id, told.episode.actual, told.peak) == ("A-3f9c21", Decimal("55.5"), Decimal("20.25"))
    assert Journal(platform.archive, 1).settled()(date(2025, 9, 8)) == "stable"
    incidents = Incidents(platform.archive, platform.alerts, clock=lambda: NOON).open()
    assert [(each.kind, each.subject, bool(each.notified)) for each in incidents] == [
        ("run_failed", "2025-09-08", True),
        ("run_failed", "2025-09-07", True),
    ]
    assert platform.archive.list("damaged/") == []
    platform.warehouse.close()


def test_the_next_morning_goes_on(folder: Path) -> None:
    """Reading commands, a rerun, the evidence, observe: days stay whole, nothing that was mailed is mailed again."""
    before = finops("status", "--json", cwd=folder, now=NOON)
    days = {row["day"]: (row["total"], row["state"], row["mailed"]) for row in json.loads(before.stdout)["days"]}
    assert len(days) == 13
    assert days["2025-09-09"] == ("92.75", "whole", "sent")
    assert days["2025-09-10"] == ("12.75", "whole", "sent")
    for words in (("gaps",), ("budgets",), ("verify",), ("evidence", "list"), ("evidence", "verify", "2025-08")):
        done = finops(*words, cwd=folder, now=NOON)
        assert done.exit_code == 0, (words, done.output)
    rerun = finops("run", "--date", str(NEWEST), cwd=folder, now=NOON)
    assert rerun.exit_code == 0, rerun.output
    assert "already sent" in rerun.output
    assert list((folder / "home" / "outbox").glob("*.eml")) == []
    assert finops("observe", cwd=folder, now=NOON).exit_code == 0
    assert finops("evidence", "make", "2025-08", cwd=folder, now=NOON).exit_code == 0
    after = finops("status", "--json", cwd=folder, now=NOON)
    assert {r["day"]: r["total"] for r in json.loads(after.stdout)["days"]} == {d: of[0] for d, of in days.items()}
    assert not (folder / "home" / "archive" / "damaged").exists()


def test_a_backfill_makes_the_charges_of_days_that_have_none(folder: Path) -> None:
    """They are whole before it, and it restates and mails nothing."""
    assert finops("gaps", cwd=folder, now=NOON).exit_code == 0
    ledger = folder / "home" / "archive" / "restatements"
    restated = sorted(ledger.iterdir())
    done = finops("backfill", cwd=folder, now=NOON)
    assert done.exit_code == 0, done.output
    sums = "SELECT COUNT(DISTINCT {0}) AS days, SUM({1}) AS total FROM {2}"
    cost = "usagecost + purchasecost + taxcost + creditcost + refundcost + adjustmentcost"
    ((charges,), (rows,)) = (
        json.loads(finops("query", "--json", sql, cwd=folder, now=NOON).stdout)
        for sql in (
            sums.format("billingdate", cost, "ou_charges"),
            sums.format("billingdate", "dailycost", "ou_breakdown"),
        )
    )
    assert charges["days"] == rows["days"] == 13
    assert Decimal(charges["total"]) == Decimal(str(rows["total"]))
    assert finops("gaps", cwd=folder, now=NOON).exit_code == 0
    assert sorted(ledger.iterdir()) == restated
    assert list((folder / "home" / "outbox").glob("*.eml")) == []


def test_an_earlier_version_of_a_day_is_put_back(folder: Path) -> None:
    """`finops restore` lists what the earlier release has kept, and puts it back."""
    kept = json.loads(finops("restore", str(RESTATED), "--json", cwd=folder, now=NOON).stdout)
    (first,) = [each["version"] for each in kept if Decimal(each["total"]) == Decimal("12.75")]
    done = finops("restore", str(RESTATED), "--version", first, cwd=folder, now=NOON)
    assert done.exit_code == 0, done.output
    days = json.loads(finops("status", "--json", cwd=folder, now=NOON).stdout)["days"]
    assert {row["day"]: row["total"] for row in days}[str(RESTATED)] == "12.75"


def test_a_record_of_a_newer_release_is_refused_and_left_alone(platform: Platform) -> None:
    """It says which release is needed; it is no damage, and not put aside."""
    path = next(iter(platform.archive.list("incidents/open/")))
    facts = json.loads(platform.archive.get(path)) | {KEY: 99}
    platform.archive.put(path, json.dumps(facts).encode())
    with pytest.raises(NewerRecordError, match="newer release") as caught:
        Incidents(platform.archive, platform.alerts, clock=lambda: NOON).open()
    assert isinstance(caught.value, FinopsError)
    assert caught.value.where == path
    assert platform.archive.list("damaged/") == []


def test_a_record_says_its_version_first() -> None:
    """And is read back as it was, exact amounts and times with their zones."""
    record = RecordType[receipts.Receipt](receipts.Receipt, "a receipt")
    receipt = receipts.Receipt("ann@example.com", NOON)
    data = record.encode(receipt)
    assert next(iter(json.loads(data).items())) == (KEY, 1)
    assert record.decode(data, "r") == receipt
    totals = receipts.MailedTotals({NEWEST: Decimal("0.100000000001")})
    assert receipts.TOTALS_RECORD.decode(receipts.TOTALS_RECORD.encode(totals), "t") == totals

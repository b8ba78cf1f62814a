"""Real Dagster runs of the whole graph on the sample bill: what is there afterwards, once, twice, changed, broken."""

import dataclasses
import email
import email.message
import email.policy
import multiprocessing
import shutil
import sqlite3
from collections.abc import Iterator, Sequence
from csv import reader
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import dagster as dg
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from finops_assets.core.accounts.account_map import to_parquet
from finops_assets.core.archive import publishing
from finops_assets.core.delivery.digest_service import DigestService
from finops_assets.core.delivery.outbox import Outbox
from finops_assets.core.delivery.recipients import Recipients
from finops_assets.core.errors import FinopsError
from finops_assets.core.reports.drawing import Drawing, drawing_beside
from finops_assets.core.schemas import ACCOUNT_MAP_PATH, OU_BREAKDOWN, day_path
from finops_assets.core.values import AccountMap, DayRows, Refused
from finops_assets.defs.build import build_definitions
from finops_assets.defs.instance import prepare_dagster_home
from finops_assets.defs.run import Outcome, run_days
from finops_assets.platform import Platform, build_platform
from finops_assets.settings.load import load_settings
from finops_assets.stories.sample_bill import SampleBill, write_sample_bill

LAST = date(2025, 9, 30)
FIRST = LAST - timedelta(days=9)
DAYS = [FIRST + timedelta(days=i) for i in range(10)]
ASSETS = ("finops_daily_summary", "ou_breakdown_parquet", "athena_partition", "quicksight_dataset", "digest_email")


def at(day: date) -> Any:
    """A clock that stands at 07:00 UTC of the morning after."""
    return lambda: datetime(day.year, day.month, day.day, 7, tzinfo=UTC) + timedelta(days=1)


def make_platform(home: Path, bill: Path, accounts: Path | None = None, **settings: Any) -> Platform:
    values = {"home": str(home), "bill.path": str(bill), "bill.first_day": FIRST, **settings}
    if accounts:
        values["accounts.path"] = str(accounts)
    return build_platform(load_settings({}, values, folder=home))


def run(platform: Platform, first: date, last: date | None = None) -> Outcome:
    return run_days(platform, first, last or first, clock=at(last or first))


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> SampleBill:
    return write_sample_bill(tmp_path_factory.mktemp("sample") / "bill", LAST, 10)


@pytest.fixture(scope="module")
def filled(sample: SampleBill, tmp_path_factory: pytest.TempPathFactory) -> Platform:
    """A home after one backfill of ten days; tests only look at it."""
    platform = make_platform(tmp_path_factory.mktemp("home"), sample.focus, sample.accounts)
    assert run(platform, FIRST, LAST).errors == ()
    return platform


@pytest.fixture
def own(sample: SampleBill, tmp_path: Path) -> Iterator[Platform]:
    """A home of the test's own, on a copy of the bill that it may change."""
    shutil.copytree(sample.focus, tmp_path / "bill")
    return make_platform(tmp_path / "home", tmp_path / "bill", sample.accounts)


def bill_totals(folder: Path) -> dict[date, Decimal]:
    """The bill's billed total of each day, added up line by line in plain Python."""
    totals: dict[date, Decimal] = {}
    for file in folder.rglob("*.parquet"):
        table = pq.read_table(file, columns=["ChargePeriodStart", "BilledCost"])
        for start, cost in zip(table[0].to_pylist(), table[1].to_pylist(), strict=True):
            totals[start.date()] = totals.get(start.date(), Decimal()) + Decimal(repr(cost))
    return totals


def objects(platform: Platform) -> dict[str, tuple[int, int]]:
    folder = platform.settings.archive_folder
    return {str(f.relative_to(folder)): (f.stat().st_mtime_ns, f.stat().st_size) for f in folder.rglob("*.parquet")}


def test_a_backfill_archives_every_day_with_the_bills_own_total(filled: Platform, sample: SampleBill) -> None:
    """Ten days in one run: one object each, exactly the bill's total, in the contract's schema, sorted, Snappy."""
    totals = bill_totals(sample.focus)
    assert filled.archive.days() == DAYS
    for day in DAYS:
        there = filled.archive.describe(day)
        assert there.total == totals[day]
        file = pq.ParquetFile(filled.settings.archive_folder / day_path(day))
        assert file.schema_arrow.names == OU_BREAKDOWN.names
        assert file.schema_arrow.types == OU_BREAKDOWN.types
        assert file.metadata.row_group(0).column(0).compression == "SNAPPY"
        keys = [(r["ou"], r["service"], r["linkedaccount"]) for r in file.read().to_pylist()]
        assert keys == sorted(set(keys))
        assert set(there.metadata) >= {"total", "currency", "cost_basis", "rows", "fingerprint", "settlement", "run_id"}


def test_every_day_can_be_queried_under_the_missions_names(filled: Platform) -> None:
    """finops_db.ou_breakdown answers in Athena's SQL with the mission's column names, partitions as integers."""
    sql = """SELECT year, month, day, COUNT(*) AS n, SUM(CAST(DailyCost AS DECIMAL(38, 12))) AS cost
             FROM finops_db.ou_breakdown WHERE BillingDate = DATE '2025-09-30' GROUP BY 1, 2, 3"""
    columns, rows = filled.catalog.query(sql)
    there = filled.archive.describe(LAST)
    assert columns == ["year", "month", "day", "n", "cost"]
    assert rows == [(2025, 9, 30, there.rows, pytest.approx(there.total))]


def test_the_daily_summary_is_the_same_money(filled: Platform) -> None:
    """The view finops_daily_summary sums to what is archived, for every day."""
    _, rows = filled.catalog.query("SELECT BillingDate, SUM(Cost) FROM finops_daily_summary GROUP BY 1")
    assert dict(rows) == {day: filled.archive.describe(day).total for day in DAYS}


@pytest.mark.parametrize("sql", ["DROP TABLE ou_breakdown", "SELECT 1; SELECT 2", "COPY ou_breakdown TO 'x.csv'"])
def test_a_query_can_only_read(filled: Platform, sql: str) -> None:
    """Anything but one SELECT is refused."""
    with pytest.raises(FinopsError):
        filled.catalog.query(sql)


def test_one_mail_speaks_for_a_whole_backfill(filled: Platform) -> None:
    """Ten days send one message a recipient, for the last day, with the CSV of all its OUs attached."""
    (mail,) = filled.settings.outbox_folder.glob("*.eml")
    message = email.message_from_bytes(mail.read_bytes(), policy=email.policy.default)
    (csv,) = [p for p in message.iter_attachments() if p.get_filename().endswith(".csv")]
    lines = csv.get_content().decode() if isinstance(csv.get_content(), bytes) else csv.get_content()
    header, *rows = reader(lines.lstrip("\ufeff").splitlines())
    assert header == ["BillingDate", "OU", "Service", "LinkedAccount", "DailyCost", "Account"]
    assert sum(Decimal(row[4]) for row in rows) == pytest.approx(filled.archive.describe(LAST).total)
    assert filled.outbox.records.mailed(LAST).state == "sent"
    assert filled.outbox.records.mailed(FIRST).covered_by == LAST


def test_the_ui_sees_every_partition_with_metadata_and_green_checks(filled: Platform) -> None:
    """Each daily asset has a materialization for each day, with its total, and every check passed."""
    with dg.DagsterInstance.from_config(str(filled.settings.dagster_home)) as instance:
        for name in ASSETS:
            assert set(instance.get_materialized_partitions(dg.AssetKey(name))) == {str(day) for day in DAYS}, name
        for day in DAYS:
            wanted = dg.AssetRecordsFilter(dg.AssetKey("ou_breakdown_parquet"), asset_partitions=[str(day)])
            (record,) = instance.fetch_materializations(wanted, limit=2).records
            metadata = {k: v.value for k, v in record.asset_materialization.metadata.items()}
            assert (
                Decimal(metadata["exact total"])
                == Decimal(metadata["source total"])
                == filled.archive.describe(day).total
            )
            assert metadata["dagster/partition_row_count"] == filled.archive.describe(day).rows
            assert (metadata["currency"], metadata["cost basis"]) == ("USD", "billed")
        (run_,) = instance.get_runs()
        evaluations = [
            log.dagster_event.asset_check_evaluation_data
            for log in instance.all_logs(run_.run_id, of_type=dg.DagsterEventType.ASSET_CHECK_EVALUATION)
        ]
    assert {e.check_name for e in evaluations} == {
        "account_map_is_current",
        "no_day_empty",
        "totals_match_source",
        "charges_match_source",
        "dimensions_match_source",
        "commitments_match_charges",
        "schema_as_agreed",
        "no_duplicate_keys",
        "unassigned_share_under_limit",
        "archive_reads_back",
        "budgets_and_events_are_used",
        "no_day_twice_as_dear",
        "dashboard_holds_the_archive",
    }
    assert all(e.passed for e in evaluations)


def test_running_again_changes_nothing(own: Platform) -> None:
    """A second run of the same days writes no object and sends no mail."""
    assert not run(own, LAST - timedelta(days=1), LAST).errors
    before, mails = objects(own), {f: f.stat().st_mtime_ns for f in own.settings.outbox_folder.iterdir()}
    assert not run(own, LAST - timedelta(days=1), LAST).errors
    assert objects(own) == before
    assert {f: f.stat().st_mtime_ns for f in own.settings.outbox_folder.iterdir()} == mails


def test_a_changed_bill_replaces_its_day_and_mails_nothing_by_itself(own: Platform) -> None:
    """After the bill changed, the day is the new bill; the mailed digest stays, and is said to be outdated."""
    assert not run(own, LAST).errors
    (mail,) = own.settings.outbox_folder.iterdir()
    sent, old = mail.read_bytes(), own.archive.describe(LAST)
    file = next(Path(own.settings.bill.path).rglob("BILLING_PERIOD=2025-09/*.parquet"))
    table = pq.read_table(file)
    extra = table.filter(pc.field("ChargePeriodStart") == datetime(2025, 9, 30)).slice(0, 1)  # noqa: DTZ001
    pq.write_table(pa.concat_tables([table, extra]), file)
    assert not run(own, LAST).errors
    new = own.archive.describe(LAST)
    assert new.total == old.total + Decimal(repr(extra["BilledCost"][0].as_py()))
    assert new.fingerprint != old.fingerprint
    assert [f.read_bytes() for f in own.settings.outbox_folder.iterdir()] == [sent]


def test_a_digest_that_nobody_has_yet_is_made_anew_when_its_day_changed(own: Platform) -> None:
    """A mailer that refuses leaves a stored digest; once the day has changed, only the new revision is mailed."""

    class Refusing:
        repeatable = True

        def send(self, message: email.message.EmailMessage, recipient: str, delivery_id: str) -> None:
            raise FinopsError("the mailer is down")

        def refused(self, recipients: Sequence[str]) -> dict[str, Refused]:
            return {}

    mail = own.settings.mail
    down = dataclasses.replace(own, outbox=Outbox(own.archive, Refusing(), Recipients(mail.sender, mail.recipients)))
    assert "the mailer is down" in run(down, LAST).errors[0]
    assert (own.outbox.digests.latest(LAST).revision, own.outbox.records.mailed(LAST).state) == (1, "none")
    file = next(Path(own.settings.bill.path).rglob("BILLING_PERIOD=2025-09/*.parquet"))
    table = pq.read_table(file)
    pq.write_table(pa.concat_tables([table, table.slice(table.num_rows - 1)]), file)
    assert not run(own, LAST).errors
    (sent,) = own.settings.outbox_folder.iterdir()
    assert email.message_from_bytes(sent.read_bytes())["X-Finops-Revision"] == "2"
    assert own.outbox.digests.latest(LAST).total == own.archive.describe(LAST).total


def test_days_that_the_bill_does_not_have_fail_and_write_nothing(own: Platform) -> None:
    """Days behind the bill's end fail the run, with a red check that names them; no object, no partition, no mail."""
    outcome = run(own, LAST + timedelta(days=1), LAST + timedelta(days=2))
    assert len(outcome.errors) == 1
    assert "2025-10-01" in outcome.errors[0]
    assert "2025-09-30" in outcome.errors[0]  # says what there is
    assert own.archive.days() == []
    assert own.catalog.registered() == {}
    assert not own.settings.outbox_folder.exists()
    with dg.DagsterInstance.from_config(str(own.settings.dagster_home)) as instance:
        logs = instance.all_logs(outcome.run_id, of_type=dg.DagsterEventType.ASSET_CHECK_EVALUATION)
        checks = [log.dagster_event.asset_check_evaluation_data for log in logs]
    ours = [c for c in checks if c.check_name == "no_day_empty"]
    assert [c.passed for c in ours] == [False]
    (alert,) = own.settings.alerts_folder.iterdir()
    assert "finops backfill 2025-10-01 2025-10-02" in alert.read_text(encoding="utf-8")


def test_a_run_archives_what_the_bill_has_and_names_the_rest(own: Platform) -> None:
    """The last of the days is not there: the one before it is archived, the run fails, and the check warns of one."""
    outcome = run(own, LAST, LAST + timedelta(days=1))
    assert own.archive.days() == [LAST]
    assert "2025-09-30 archived; the bill does not have 2025-10-01" in outcome.errors[0]
    with dg.DagsterInstance.from_config(str(own.settings.dagster_home)) as instance:
        known = instance.get_materialized_partitions(dg.AssetKey("ou_breakdown_parquet"))
    assert known == {"2025-09-30"}


def test_a_map_that_doubles_an_account_never_reaches_a_reader(own: Platform) -> None:
    """A published map with overlapping dates would double money: the totals check stops it before publishing."""

    class Doubled:
        def load(self) -> AccountMap:
            table = own.accounts.load().table
            return AccountMap(pa.concat_tables([table, table.slice(0, 1)]))

    outcome = run(dataclasses.replace(own, accounts=Doubled()), LAST)
    assert "not exactly the bill" in outcome.errors[0]
    assert own.archive.days() == []


def test_unassigned_accounts_are_counted_and_warned_of(sample: SampleBill, tmp_path: Path) -> None:
    """Without accounts.csv every account is Unassigned: the total still matches, and the check warns."""
    platform = make_platform(tmp_path, sample.focus)
    outcome = run(platform, LAST)
    assert outcome.errors == ()
    there = platform.archive.describe(LAST)
    assert Decimal(there.metadata["unassigned"]) == there.total == bill_totals(sample.focus)[LAST]
    with dg.DagsterInstance.from_config(str(platform.settings.dagster_home)) as instance:
        logs = instance.all_logs(outcome.run_id, of_type=dg.DagsterEventType.ASSET_CHECK_EVALUATION)
        checks = {e.check_name: e for e in (log.dagster_event.asset_check_evaluation_data for log in logs)}
    warned = checks["unassigned_share_under_limit"]
    assert (warned.passed, warned.severity) == (False, dg.AssetCheckSeverity.WARN)


def test_both_exports_give_the_same_bill(sample: SampleBill, tmp_path: Path) -> None:
    """FOCUS and CUR 2.0 of one organization: the same total and the same cost by OU and account, on both bases."""
    for focus_basis, cur_basis in (("billed", "unblended"), ("effective", "effective")):
        found = []
        for bill, basis in ((sample.focus, focus_basis), (sample.cur2, cur_basis)):
            home = tmp_path / f"{bill.name}-{basis}-{focus_basis}"
            platform = make_platform(home, bill, sample.accounts, **{"bill.cost_basis": basis})
            assert not run(platform, LAST).errors
            _, rows = platform.catalog.query(
                "SELECT ou, linkedaccount, ROUND(SUM(dailycost), 6) FROM ou_breakdown GROUP BY 1, 2 ORDER BY 1, 2"
            )
            found.append({(ou, account): cost for ou, account, cost in rows})
        assert found[0] == pytest.approx(found[1])


def test_an_account_that_moved_is_in_the_ou_of_the_day(filled: Platform, sample: SampleBill, tmp_path: Path) -> None:
    """as_was puts a moved account where it was; as_is puts it where it is now."""
    moved = tmp_path / "accounts.csv"
    rows = sample.accounts.read_text(encoding="utf-8").splitlines()
    account = rows[1].split(",")[0]
    moved.write_text(
        "\n".join([rows[0], *(r for r in rows[1:] if r.split(",")[0] != account), f"{account},x,Old,,"])
        + f"\n{account},x,New,2025-09-30,\n",
        encoding="utf-8",
    )
    ous = {}
    for history in ("as_was", "as_is"):
        platform = make_platform(tmp_path / history, sample.focus, moved, **{"accounts.history": history})
        assert not run(platform, LAST - timedelta(days=1), LAST).errors
        _, found = platform.catalog.query(
            f"SELECT DISTINCT billingdate, ou FROM ou_breakdown WHERE linkedaccount = '{account}' ORDER BY 1"
        )
        ous[history] = [ou for _, ou in found]
    assert ous == {"as_was": ["Old", "New"], "as_is": ["New", "New"]}


def test_batches_record_what_dagster_records_one_by_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The batching event log leaves the same rows in the same tables as Dagster's own storage."""
    by_day = dg.DailyPartitionsDefinition(start_date=str(FIRST))

    @dg.asset(
        partitions_def=by_day,
        backfill_policy=dg.BackfillPolicy.single_run(),
        check_specs=[dg.AssetCheckSpec("odd", asset="numbers"), dg.AssetCheckSpec("even", asset="numbers")],
    )
    def numbers(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
        for key in context.partition_keys:
            context.add_asset_metadata({"day": key}, partition_key=key)
        checks = [dg.AssetCheckResult(passed=name == "odd", check_name=name) for name in ("odd", "even")]
        return dg.MaterializeResult(tags={"a": "b"}, check_results=checks)

    tags = {"dagster/asset_partition_range_start": str(FIRST), "dagster/asset_partition_range_end": str(LAST)}
    recorded = []
    for name, size in (("one by one", "0"), ("batched", "1000")):
        monkeypatch.setenv("DAGSTER_EVENT_BATCH_SIZE", size)
        monkeypatch.setenv("DAGSTER_HOME", "")
        home = prepare_dagster_home(tmp_path / name)
        with dg.DagsterInstance.from_config(str(home)) as instance:
            assert dg.materialize([numbers], instance=instance, tags=tags).success
        index = home / "history" / "runs" / "index.db"
        with sqlite3.connect(index) as con:
            events = con.execute(
                "SELECT dagster_event_type, step_key, asset_key, partition FROM event_logs ORDER BY id"
            ).fetchall()
            keys = con.execute("SELECT asset_key, last_materialization LIKE '%2025-09-30%' FROM asset_keys").fetchall()
            tags_ = con.execute("SELECT asset_key, key FROM asset_event_tags ORDER BY id").fetchall()
            checks = con.execute(
                "SELECT asset_key, check_name, partition, execution_status FROM asset_check_executions ORDER BY id"
            ).fetchall()
        (shard,) = [f for f in index.parent.glob("*.db") if f != index]
        with sqlite3.connect(shard) as con:
            in_run = con.execute("SELECT dagster_event_type, partition FROM event_logs ORDER BY id").fetchall()
        recorded.append((events, keys, tags_, checks, in_run))
    assert recorded[0] == recorded[1]
    assert len([e for e in recorded[0][0] if e[0] == "ASSET_MATERIALIZATION"]) == 10


def test_the_schedule_asks_for_the_day_before_the_tick(filled: Platform) -> None:
    """At 07:00 UTC the schedule asks for yesterday by the tick's own time, however late it is evaluated."""
    repository = build_definitions(filled).get_repository_def()
    schedule = repository.get_schedule_def("every_morning")
    assert (schedule.cron_schedule, schedule.execution_timezone) == ("0 7 * * *", "UTC")
    with dg.DagsterInstance.ephemeral() as instance:

        def evaluated(tick: datetime) -> Any:
            how = {"instance": instance, "repository_def": repository, "resources": {"outbox": filled.outbox}}
            return schedule.evaluate_tick(dg.build_schedule_context(scheduled_execution_time=tick, **how))

        (request,) = evaluated(datetime(2025, 10, 2, 7, tzinfo=UTC)).run_requests
        assert request.partition_key == "2025-10-01"
        done = evaluated(datetime(2025, 10, 1, 7, tzinfo=UTC))
        assert not done.run_requests, "a day that is mailed is not run again"
        assert done.skip_message.startswith("2025-09-30 is done: mailed ")


def test_a_digest_goes_out_again_from_the_ui(own: Platform) -> None:
    """The job `resend_digest` sends the stored bytes to one or all; with `refresh` it makes a revision for all."""
    assert run(own, FIRST).errors == ()
    job = build_definitions(own, drawing=Drawing(lambda _: b"", lambda *_: b"")).resolve_job_def("resend_digest")

    def resend(**config: Any) -> bool:
        with dg.DagsterInstance.ephemeral() as instance:
            ops = {"send_again": {"config": {"day": str(FIRST), **config}}}
            return job.execute_in_process({"ops": ops}, instance=instance, raise_on_error=False).success

    def files() -> list[str]:
        return sorted(file.name for file in own.settings.outbox_folder.glob("*.eml"))

    (first,) = files()
    assert resend(to=["finops@localhost"])
    assert files() == [first.replace(".eml", "-resend-1.eml"), first]
    assert resend(refresh=True)
    assert [name for name in files() if "-r2-" in name] == [first.replace("-r1-", "-r2-")]
    assert not resend(refresh=True, to=["finops@localhost"]), "a revision is for everybody"
    assert not resend(day="yesterday")


def test_a_digest_rendered_ahead_is_the_one_that_is_sent(own: Platform) -> None:
    """It is drawn once; where the day has changed since it was begun, it is made anew from what is archived then."""
    drawn: list[Any] = []

    def draw(spec: Any) -> bytes:
        drawn.append(spec)
        return b"\x89PNG"

    own.archive.put(ACCOUNT_MAP_PATH, to_parquet(own.accounts.load().table))
    now = at(LAST)()
    publishing.archive_days(own.warehouse, own.archive, DAYS, cost_basis="billed", run_id="a run", now=now)
    morning = DigestService(own.archive, own.outbox, drawing=Drawing(draw, lambda *_: b""))
    morning.prepare([DAYS[1]], now)
    assert len(morning.send([DAYS[1]], now).deliveries) == 1
    assert len(drawn) == 1

    morning.prepare([DAYS[2]], now)
    there = own.archive.describe(DAYS[2])
    first_row = own.archive.read([DAYS[2]]).slice(0, 1)
    left = DayRows(DAYS[2], first_row.select(OU_BREAKDOWN.names), first_row["cost"][0].as_py(), Decimal(), "changed")
    said = {
        name: there.metadata[name] for name in there.metadata.keys() - {"rows", "total", "unassigned", "fingerprint"}
    }
    own.archive.publish(left, said)
    assert morning.send([DAYS[2]], now).stored.total == left.total != there.total


def test_a_chart_is_drawn_although_its_renderer_was_killed() -> None:
    """The process beside the run may be killed for its memory: the digest goes out with its chart all the same."""
    with drawing_beside() as drawing:
        for child in multiprocessing.active_children():
            child.kill()
        assert drawing.chart({"mark": "point", "data": {"values": []}, "width": 1, "height": 1}).startswith(b"\x89PNG")

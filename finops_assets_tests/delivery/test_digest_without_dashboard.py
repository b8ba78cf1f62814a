"""A dashboard that cannot be refreshed fails its own step, and the digest goes out all the same and says so."""

import dataclasses
import json
import shutil
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace

import dagster as dg
import pytest

from finops_assets.adapters.aws.quicksight.refresh import QuickSightDataSet
from finops_assets.adapters.aws.session import AwsSession
from finops_assets.core.errors import FinopsError
from finops_assets.core.operations.state_notes import state_notes
from finops_assets.core.reports.digest import UNKNOWN_DASHBOARD, dashboard_words
from finops_assets.defs.build import build_definitions
from finops_assets.defs.instance import prepare_dagster_home
from finops_assets.defs.keys import DAILY_JOB as JOB
from finops_assets.defs.run import Outcome, run_days
from finops_assets.platform import Platform, build_platform
from finops_assets.settings.load import load_settings
from finops_assets.stories.sample_bill import SampleBill, write_sample_bill
from finops_assets_tests.support.on_aws import DATA_SET, RECIPIENTS, make_ready, platform_on
from standin.server import StandIn

pytestmark = pytest.mark.usefixtures("records_in_memory")

Records = dict[Path, dg.DagsterInstance | None]

LAST = date(2025, 9, 30)
BEFORE = LAST - timedelta(days=1)
MORNING = datetime.combine(LAST + timedelta(days=1), datetime.min.time(), UTC) + timedelta(hours=8)
FIRST = LAST - timedelta(days=4)
OF_BEFORE = "The dashboard is of Mon 29 Sep 2025: its refresh with 30 Sep has not succeeded yet."
GONE = "There is no dashboard: its refresh has not succeeded yet."
OU = "Workloads/Prod"
WITHOUT_BOTH = (
    "account_ou_map",
    "finops_daily_summary",
    "ou_breakdown_parquet",
    "athena_partition",
    "ou_scorecard",
    "executive_snapshot",
)


def at(day: date) -> Callable[[], datetime]:
    """A clock that stands at 07:00 UTC of the morning after."""
    return lambda: datetime(day.year, day.month, day.day, 7, tzinfo=UTC) + timedelta(days=1)


def run(platform: Platform, first: date, last: date | None = None) -> Outcome:
    return run_days(platform, first, last or first, clock=at(last or first))


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> SampleBill:
    return write_sample_bill(tmp_path_factory.mktemp("sample") / "bill", LAST, 5)


def settings_of(home: Path, sample: SampleBill) -> dict[str, str]:
    """Settings of a home in which somebody gets the whole and somebody an OU's edition."""
    chosen = {
        "home": home,
        "bill__path": sample.focus,
        "bill__first_day": FIRST,
        "accounts__path": sample.accounts,
        "mail__by_ou": json.dumps({OU: ["prod@localhost"]}),
    }
    return {f"FINOPS_{name.upper()}": str(value) for name, value in chosen.items()}


@pytest.fixture(scope="module")
def done(sample: SampleBill, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home after a run of BEFORE in which all went well."""
    home = tmp_path_factory.mktemp("done") / "home"
    platform = build_platform(load_settings(settings_of(home, sample), folder=home.parent))
    assert run(platform, BEFORE).errors == ()
    platform.warehouse.close()
    return home


@pytest.fixture
def environment(sample: SampleBill, tmp_path: Path) -> dict[str, str]:
    return settings_of(tmp_path / "home", sample)


@pytest.fixture
def platform(environment: dict[str, str], tmp_path: Path) -> Platform:
    """The platform on an empty home."""
    return build_platform(load_settings(environment, folder=tmp_path))


@pytest.fixture
def after_before(done: Path, platform: Platform) -> Platform:
    """The platform on a home after a run of BEFORE in which all went well."""
    shutil.copytree(done, platform.settings.home)
    return platform


def stand_in_its_way(platform: Platform) -> Path:
    """A folder where the dashboard's page should be: it cannot be written."""
    page = platform.settings.dashboard_file
    page.unlink(missing_ok=True)
    page.mkdir(parents=True)
    return page


def texts(platform: Platform, day: date) -> list[str]:
    """What the day's stored digest says: HTML and text of the whole, and of each edition; blanks made one."""
    stored = platform.outbox.digests.latest(day)
    digests = [platform.outbox.digests.load(stored, ou) for ou in ("", *stored.editions)]
    return [" ".join(text.split()) for digest in digests for text in (digest.html, digest.text)]


def steps(instance: dg.DagsterInstance, run_id: str) -> list[tuple[str, str]]:
    """Each step's start, success, failure or skip, in order."""
    wanted = {
        dg.DagsterEventType.STEP_START: "start",
        dg.DagsterEventType.STEP_SUCCESS: "success",
        dg.DagsterEventType.STEP_FAILURE: "failure",
        dg.DagsterEventType.STEP_SKIPPED: "skipped",
    }
    events = [log.dagster_event for log in instance.all_logs(run_id) if log.dagster_event]
    return [(e.step_key, wanted[e.event_type]) for e in events if e.event_type in wanted]


def incidents(platform: Platform) -> list[str]:
    return [incident.kind for incident in platform.with_clock(at(LAST)).watch.incidents.open()]


def test_the_digest_goes_out_and_says_of_which_day_the_dashboard_is(
    after_before: Platform, records_in_memory: Records
) -> None:
    """The step and the run are red, the incident is open; the mail is made after it, and not again once it heals.

    Nothing else of the mail changes: its amount is the archive's.
    """
    platform = after_before
    assert not any("dashboard is of" in text.lower() for text in texts(platform, BEFORE))
    page = stand_in_its_way(platform)

    outcome = run(platform, LAST)
    (error,) = outcome.errors
    assert error.startswith("quicksight_dataset: ")
    instance = records_in_memory[platform.settings.dagster_home]
    order = steps(instance, outcome.run_id)
    assert order.index(("quicksight_dataset", "failure")) < order.index(("digest_email", "start"))
    assert ("digest_email", "success") in order
    assert platform.outbox.records.mailed(LAST).state == "sent"
    assert platform.outbox.digests.latest(LAST).total == platform.archive.describe(LAST).total > Decimal()
    said = texts(platform, LAST)
    assert len(said) == 4, "the whole and an edition, HTML and text"
    assert all(GONE in text for text in said)
    assert incidents(platform) == ["dashboard_failed"]
    assert instance.get_run_by_id(outcome.run_id).status == dg.DagsterRunStatus.FAILURE
    event = instance.get_latest_materialization_event(dg.AssetKey("digest_email"))
    assert GONE in event.asset_materialization.metadata["dashboard"].value

    page.rmdir()
    mails = sorted(platform.settings.outbox_folder.glob("*.eml"))
    assert run(platform, LAST).errors == ()
    assert sorted(platform.settings.outbox_folder.glob("*.eml")) == mails
    assert platform.outbox.digests.latest(LAST).revision == 1
    assert incidents(platform) == []


def test_a_range_says_so_too(platform: Platform) -> None:
    """One mail for the range; there was no dashboard before."""
    stand_in_its_way(platform)
    (error,) = run(platform, FIRST, LAST).errors
    assert error.startswith("quicksight_dataset: ")
    assert platform.outbox.records.mailed(LAST).state == "sent"
    assert all(GONE in text for text in texts(platform, LAST))


def job_of_the_environment() -> dg.JobDefinition:
    """The daily job as a launched run loads it: from the settings, with the executor of the definitions."""
    return build_definitions(build_platform(load_settings()), clock=at(LAST)).resolve_job_def(JOB)


def test_a_launched_run_makes_the_digest_last(
    after_before: Platform, environment: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Runs of the UI, schedules and sensors use the executor of the definitions: it keeps the same order."""
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    platform = after_before
    stand_in_its_way(platform)
    prepare_dagster_home(platform.settings.dagster_home)
    with dg.DagsterInstance.get() as instance:
        result = dg.execute_job(
            dg.reconstructable(job_of_the_environment), instance, tags={"dagster/partition": str(LAST)}
        )
        assert not result.success
        order = steps(instance, result.run_id)
    assert order.index(("quicksight_dataset", "failure")) < order.index(("digest_email", "start"))
    assert ("digest_email", "success") in order
    assert all(GONE in text for text in texts(platform, LAST))


def test_a_dashboard_that_is_older_is_said_to_be(after_before: Platform, records_in_memory: Records) -> None:
    """The page itself is looked at: it shows the day before.

    The order holds where nothing but both is run: they are ready at once then, and the tag alone decides.
    """
    platform = after_before
    assert run_days(platform, LAST, LAST, clock=at(LAST), assets=WITHOUT_BOTH).errors == ()
    assert run_days(platform, LAST, LAST, clock=at(LAST), assets=("digest_email",)).errors == ()
    assert all(OF_BEFORE in text for text in texts(platform, LAST))
    outcome = run_days(platform, LAST, LAST, clock=at(LAST), assets=("digest_email", "quicksight_dataset"))
    assert outcome.errors == ()
    order = steps(records_in_memory[platform.settings.dagster_home], outcome.run_id)
    assert order.index(("quicksight_dataset", "success")) < order.index(("digest_email", "start"))


def test_a_digest_beside_a_dashboard_that_works_says_nothing_of_it(
    after_before: Platform, records_in_memory: Records
) -> None:
    """It was rendered while the dashboard was refreshed, before anybody could know: it is right all the same."""
    platform = after_before
    outcome = run(platform, LAST)
    assert outcome.errors == ()
    order = steps(records_in_memory[platform.settings.dagster_home], outcome.run_id)
    assert order.index(("quicksight_dataset", "success")) < order.index(("digest_email", "start"))
    assert not any("has not succeeded yet" in text for text in texts(platform, LAST))
    assert state_notes(platform.inspector, MORNING).dashboard == ""


# --- on AWS -------------------------------------------------------------------------------------------------------


@pytest.fixture
def on_the_stand_in(aws: StandIn, sample: SampleBill, tmp_path: Path) -> Platform:
    make_ready(aws, sample.focus)
    return platform_on(aws, tmp_path / "home", bill__first_day=FIRST, accounts__path=sample.accounts)


def refreshed_within(seconds: float, platform: Platform, aws: StandIn) -> Platform:
    """The platform whose refresh is given up after so long."""
    refresh = QuickSightDataSet(
        AwsSession(endpoint_url=aws.url),
        DATA_SET,
        edition="enterprise",
        timeout_seconds=seconds,
        expected=platform.catalog.contents,
    )
    return dataclasses.replace(platform, dashboard=refresh)


def hangs(aws: StandIn) -> None:
    aws.quicksight.hold_running()


def is_refused(aws: StandIn) -> None:
    aws.faults.fail("quicksight", "*", code="AccessDeniedException", message="not for you", times=None)


def fails(aws: StandIn) -> None:
    aws.quicksight.fail_next("PERMISSION_DENIED")


def test_quicksight_holds_up_no_digest(aws: StandIn, on_the_stand_in: Platform) -> None:
    """Whatever is wrong with it: everybody is mailed once, and the next run refreshes without another mail."""
    broken = (
        (hangs, "after 1 seconds and was cancelled", GONE),
        (is_refused, "permission denied", UNKNOWN_DASHBOARD),
        (fails, "PERMISSION_DENIED", GONE),
    )
    for number, (breaks, says, note) in enumerate(broken):
        day = LAST - timedelta(days=len(broken) - 1 - number)
        breaks(aws)
        # A refresh that works must not be given up on a busy machine.
        (error,) = run(refreshed_within(1 if breaks is hangs else 60, on_the_stand_in, aws), day).errors
        assert error.startswith("quicksight_dataset: ")
        assert says in error
        assert sorted(mail.recipients[0] for mail in aws.mail.sent) == sorted(RECIPIENTS)
        assert all(note in text for text in texts(on_the_stand_in, day))
        aws.mail.sent.clear()
        aws.quicksight.hold_running(False)
        aws.faults.reset()

    assert run(refreshed_within(60, on_the_stand_in, aws), LAST).errors == ()
    assert aws.mail.sent == []
    assert aws.quicksight.ingestions[-1].status == "COMPLETED"
    assert state_notes(on_the_stand_in.inspector, MORNING).dashboard == ""


# --- the sentence -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("shown", "changed", "says"),
    [
        (LAST, [], ""),
        (None, [LAST], GONE),
        (BEFORE, [LAST], OF_BEFORE),
        (FIRST, [date(2025, 9, 28), BEFORE, LAST], "is of Fri 26 Sep 2025: its refresh with 28–30 Sep has"),
        (BEFORE, [date(2025, 9, 2), LAST], "is of Mon 29 Sep 2025: its refresh with 30 Sep has"),
        (LAST, [date(2025, 9, 2), BEFORE], "shows 2 Sep, 29 Sep as before: its refresh has not succeeded"),
    ],
)
def test_the_sentence_names_the_days(shown: date | None, changed: list[date], says: str) -> None:
    """Of which day the dashboard is, and which days it does not show as they are."""
    said = dashboard_words(shown, changed)
    assert says in said
    assert bool(said) == bool(says)


def test_a_dashboard_that_cannot_be_looked_at_is_said_to_be_unknown(after_before: Platform) -> None:
    """An error of the service says nothing of the dashboard: neither that it is current, nor that it is not."""

    def refused() -> None:
        raise FinopsError("quicksight:ListIngestions was refused")

    assert state_notes(after_before.inspector, MORNING).dashboard == ""
    unseen = dataclasses.replace(after_before, preflight=SimpleNamespace(shown=refused))
    assert state_notes(unseen.inspector, MORNING).dashboard == UNKNOWN_DASHBOARD

"""How many messages go out: one mail a request, and for a day that another mail has spoken for, none that nobody asked.

The table asks the service that every run and command asks; real runs of Dagster (a backfill of days that do not touch,
in either order, over a job and over assets; the command; a sensor's tick) show that they ask it for the right days.
"""

from __future__ import annotations

import json
import logging
import shutil
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, nullcontext, suppress
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from click.testing import CliRunner

from finops_assets.cli import main as cli
from finops_assets.core.accounts.account_map import to_parquet
from finops_assets.core.archive import publishing
from finops_assets.core.delivery.digest_service import DigestService
from finops_assets.core.delivery.sent import record_after_failure
from finops_assets.core.errors import FinopsError, UnknownDeliveryError
from finops_assets.core.reports.drawing import Drawing
from finops_assets.core.schemas import ACCOUNT_MAP_PATH, day_path
from finops_assets.core.values import Delivery, Refused
from finops_assets.defs.build import build_definitions
from finops_assets.defs.instance import prepare_dagster_home
from finops_assets.defs.run import run_days
from finops_assets.platform import Platform, build_platform
from finops_assets.settings.load import load_settings
from finops_assets.stories.sample_bill import SampleBill, write_sample_bill
from finops_assets.stories.simulation import Simulation, part_of, read_export

pytestmark = pytest.mark.usefixtures("records_in_memory")

LAST = date(2025, 9, 30)
DAYS = [LAST - timedelta(days=n) for n in reversed(range(10))]
DAY, NEWEST = DAYS[5], DAYS[9]
NOW = datetime(2025, 10, 1, 7, tzinfo=UTC)
ANN, BOB = RECIPIENTS = ("ann@example.com", "bob@example.com")
NO_PICTURES = Drawing(lambda _: b"", lambda *_: b"")


@dataclass
class Mailer:
    """Keeps what it sends; refuses an address, or loses the answer about its message, where it is told to."""

    refuses: str = ""
    loses: str = ""
    sent: list[tuple[str, str]] = field(default_factory=list)
    repeatable: bool = False

    def send(self, message: EmailMessage, recipient: str, delivery_id: str) -> Delivery:
        if recipient == self.refuses:
            raise FinopsError("the mailbox is full")
        if recipient == self.loses:
            raise UnknownDeliveryError("the connection broke")
        self.sent.append((recipient, message["Subject"]))
        return Delivery(recipient, delivery_id, f"memory:{delivery_id}")

    def refused(self, recipients: Sequence[str]) -> dict[str, Refused]:
        return {}


@dataclass
class Desk:
    """An archive with ten days, an outbox, and who got what."""

    morning: DigestService
    outbox: Any
    mailer: Mailer
    home: Path

    def tried(self, work: Callable[[], Any]) -> int:
        """The messages that go out by some work, which may end in the error of a mailer that fails."""
        before = len(self.mailer.sent)
        failing = self.mailer.refuses or self.mailer.loses
        with suppress(FinopsError) if failing else nullcontext():
            work()
        return len(self.mailer.sent) - before


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> SampleBill:
    return write_sample_bill(tmp_path_factory.mktemp("sample") / "bill", LAST, len(DAYS))


@pytest.fixture(scope="module")
def archived(sample: SampleBill, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with ten archived days that nobody was mailed."""
    platform = platform_at(tmp_path_factory.mktemp("archived"), sample)
    platform.archive.put(ACCOUNT_MAP_PATH, to_parquet(platform.accounts.load().table))
    publishing.archive_days(platform.warehouse, platform.archive, DAYS, cost_basis="billed", run_id="a run", now=NOW)
    platform.warehouse.close()
    return platform.settings.home


def platform_at(home: Path, sample: SampleBill, **settings: Any) -> Platform:
    values = {"home": str(home), "bill.path": str(sample.focus), "accounts.path": str(sample.accounts)}
    values |= {"bill.first_day": DAYS[0], "mail.recipients": ",".join(RECIPIENTS)}
    return build_platform(load_settings({}, values | settings, folder=home))


@pytest.fixture
def desk(archived: Path, sample: SampleBill, tmp_path: Path) -> Iterator[Desk]:
    home = tmp_path / "home"
    shutil.copytree(archived, home)
    platform, mailer = platform_at(home, sample), Mailer()
    # The platform's own outbox, with its settings, over a mailer that keeps what it is given.
    platform.outbox._mailer = mailer
    yield Desk(DigestService(platform.archive, platform.outbox, drawing=NO_PICTURES), platform.outbox, mailer, home)
    platform.warehouse.close()


# --- the table ------------------------------------------------------------------------------------------------------


def own_mail(desk: Desk) -> None:
    desk.morning.send([DAY], NOW)


def covered(desk: Desk) -> None:
    desk.morning.send(DAYS, NOW)


def covered_in_part(desk: Desk) -> None:
    desk.mailer.refuses = BOB
    desk.tried(lambda: desk.morning.send(DAYS, NOW))
    desk.mailer.refuses = ""


def covered_in_doubt(desk: Desk) -> None:
    desk.mailer.loses = BOB
    desk.tried(lambda: desk.morning.send(DAYS, NOW))


def covered_and_not_sent(desk: Desk) -> None:
    """The run of the newest day was killed before its digest was stored."""
    desk.outbox.cover(DAYS[:9], by=NEWEST, revision=1)


def no_mail(_: Desk) -> None: ...


def by_hand(desk: Desk) -> None:
    desk.morning.send([DAY], NOW)


def a_range(desk: Desk) -> None:
    desk.morning.send(DAYS[3:6], NOW)


def by_a_sensor(desk: Desk) -> None:
    """A tick that finds an old day: the newest archived day is part of its request."""
    desk.morning.send([DAY], NOW, asked=[DAY, NEWEST])


def scattered(desk: Desk) -> None:
    """A backfill of days that do not touch: a run each."""
    for day in (DAYS[2], DAY, NEWEST):
        desk.morning.send([day], NOW, asked=[DAYS[2], DAY, NEWEST])


def scattered_newest_first(desk: Desk) -> None:
    for day in (NEWEST, DAY, DAYS[2]):
        desk.morning.send([day], NOW, asked=[DAYS[2], DAY, NEWEST])


def with_mail(desk: Desk) -> None:
    desk.morning.send([DAY], NOW, on_request=True)


def resent(desk: Desk) -> None:
    desk.morning.resend(DAY, NOW)


def resent_to_one(desk: Desk) -> None:
    desk.morning.resend(DAY, NOW, to=[ANN])


WAYS = (by_hand, a_range, by_a_sensor, scattered, scattered_newest_first, with_mail, resent, resent_to_one)
AGAIN = {with_mail: 0, resent: 2, resent_to_one: 1}
"""Messages of the same work once more; of all others none."""

MESSAGES = {
    # by hand, a range, by a sensor, scattered, scattered newest first, --mail, resend, resend --to
    own_mail: (0, 0, 0, 2, 2, 0, 2, 1),
    covered: (0, 0, 0, 0, 0, 2, 2, 1),
    covered_in_part: (0, 0, 0, 1, 1, 2, 2, 1),
    covered_and_not_sent: (0, 0, 0, 2, 2, 2, 2, 1),
    no_mail: (2, 2, 0, 2, 2, 2, 2, 1),
}
"""To two recipients. What the scattered backfill sends is the newest day's mail."""


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
@pytest.mark.parametrize("state", MESSAGES, ids=lambda state: state.__name__)
def test_how_many_messages_go_out(desk: Desk, state: Callable, way: Callable) -> None:
    """Nothing twice by itself, nothing for a day that is spoken for, one mail a request; on request, its own."""
    state(desk)
    before = len(desk.mailer.sent)
    assert desk.tried(lambda: way(desk)) == MESSAGES[state][WAYS.index(way)]
    subjects = {subject.split(":")[0] for _, subject in desk.mailer.sent[before:]}
    assert subjects <= {f"[FinOps] {(NEWEST if way in (scattered, scattered_newest_first) else DAY):%-d %b %Y}"}
    assert desk.tried(lambda: way(desk)) == AGAIN.get(way, 0), "the same once more"


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
def test_a_covering_mail_in_doubt_speaks_for_its_days(desk: Desk, way: Callable) -> None:
    """Nobody knows whether Bob has the newest day's mail: no run sends the older day instead, and none sends twice."""
    covered_in_doubt(desk)
    asked = {with_mail: 1, resent: 1, resent_to_one: 1}  # Bob's message is lost again
    assert desk.tried(lambda: way(desk)) == asked.get(way, 0)
    assert [to for to, _ in desk.mailer.sent].count(BOB) == 0


def test_what_is_said_is_what_happened(desk: Desk) -> None:
    """Sent, already sent, not sent and why, in part: in words, and the same as a record."""
    sent = desk.morning.send(DAYS, NOW)
    assert str(sent) == "sent to 2 recipient(s)"
    again = desk.morning.send(DAYS, NOW)
    when = desk.outbox.records.mailed(NEWEST).when
    words, _, why = str(again).partition("; ")
    assert words == f"already sent {when:%Y-%m-%d %H:%M} UTC to {ANN}, {BOB}"
    assert f"finops resend {again.day} --refresh" in why
    other = desk.morning.send([DAY], NOW)
    assert str(other) == f"not sent: the mail of {NEWEST} speaks for it (finops resend {DAY} sends its own)"
    assert other.as_record() == {
        "state": "not sent",
        "words": str(other),
        "day": str(DAY),
        "digest_of": None,
        "revision": None,
        "messages": 0,
        "recipients": [],
        "spoken_for_by": str(NEWEST),
    }
    assert str(desk.morning.refresh(NEWEST, NOW)) == "revision 2, sent to 2 recipient(s)"


def test_a_digest_that_went_out_in_part_says_to_whom(desk: Desk) -> None:
    """After a run that failed: who has it; of a covered day, that nothing was sent for it."""
    covered_in_part(desk)
    record = record_after_failure(NEWEST, desk.outbox.records.mailed(NEWEST))
    assert (record["state"], record["revision"]) == ("sent in part", 1)
    assert record["words"].startswith("sent in part: mailed only in part ")
    assert ANN in record["words"]
    assert BOB not in record["words"]
    assert record_after_failure(DAY, desk.outbox.records.mailed(DAY))["state"] == "not sent"


def test_old_days_that_a_sensor_mends_are_in_the_next_digest(desk: Desk) -> None:
    """Nobody waits for them, so no mail goes out for them; the next digest names them."""
    file = desk.home / "archive" / day_path(DAY)
    file.rename(desk.home / "lost")
    desk.morning.send([DAYS[8]], NOW)
    (desk.home / "lost").rename(file)
    outcome = desk.morning.send([DAY], NOW, asked=[DAY, DAYS[8]])
    assert str(outcome).startswith(f"not sent: the newer day {DAYS[8]} is mailed already")
    assert desk.outbox.records.mailed(DAY).covered_by is None
    desk.morning.send([NEWEST], NOW)
    assert desk.outbox.records.mailed(DAY).covered_by == NEWEST


def test_a_mail_speaks_for_days_of_its_request_that_are_not_archived_yet(desk: Desk) -> None:
    """It says that they follow, and they are covered before they are there."""
    missing = DAYS[0] - timedelta(days=3)
    sent = desk.morning.send([NEWEST], NOW, asked=[missing, NEWEST])
    text = " ".join(desk.outbox.digests.load(sent.stored).text.split())
    assert f"Not archived yet: {missing}. This mail speaks for it; no other one is sent." in text
    assert desk.outbox.records.mailed(missing).covered_by == NEWEST


def test_a_digest_for_one_person_speaks_for_no_other_day(desk: Desk) -> None:
    """Made on request for one recipient, it covers nothing: the others were not told."""
    desk.morning.resend(DAY, NOW, to=[ANN])
    assert {desk.outbox.records.mailed(day).covered_by for day in DAYS} == {None}
    assert desk.outbox.records.mailed(DAY).state == "none"
    assert desk.tried(lambda: desk.morning.send([DAY], NOW)) == 2


def test_an_address_that_is_not_allowed_makes_no_digest(desk: Desk) -> None:
    """The refusal comes before anything is made of a day that has no digest."""
    with pytest.raises(FinopsError, match=r"mail\.resend_to"):
        desk.morning.resend(DAY, NOW, to=["someone@elsewhere.org"])
    assert desk.outbox.digests.latest(DAY) is None


# --- real runs ------------------------------------------------------------------------------------------------------

HOLES = [DAYS[1], DAYS[3], DAYS[4], DAYS[7]]
"""Three stretches."""

CODE = """
from finops_assets.core.reports.drawing import Drawing
from finops_assets.defs.build import build_definitions
from finops_assets.platform import build_platform
from finops_assets.settings.load import load_settings

defs = build_definitions(build_platform(load_settings()), drawing=Drawing(lambda _: b"", lambda *_: b""))
"""


@pytest.mark.parametrize("kind", ["job, newest run first", "assets"])
def test_a_backfill_of_days_that_do_not_touch_is_one_mail(
    kind: str, sample: SampleBill, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A backfill of the UI, submitted by Dagster's own daemon: three runs, one mail, which speaks for all days."""
    from dagster._core.execution.backfill import BulkActionStatus, PartitionBackfill
    from dagster._core.instance.ref import InstanceRef
    from dagster._core.remote_origin import InProcessCodeLocationOrigin
    from dagster._core.types.loadable_target_origin import LoadableTargetOrigin
    from dagster._core.workspace.context import WorkspaceProcessContext
    from dagster._core.workspace.load_target import WorkspaceLoadTarget
    from dagster._daemon.backfill import execute_backfill_iteration

    platform = platform_at(tmp_path / "home", sample)
    for name, value in {
        "HOME": platform.settings.home,
        "BILL__PATH": sample.focus,
        "ACCOUNTS__PATH": sample.accounts,
        "BILL__FIRST_DAY": DAYS[0],
        "MAIL__RECIPIENTS": ANN,
    }.items():
        monkeypatch.setenv(f"FINOPS_{name}", str(value))
    code = tmp_path / "code.py"
    code.write_text(CODE)

    class ThisProcess(WorkspaceLoadTarget):
        def create_origins(self) -> list[Any]:
            target = LoadableTargetOrigin(executable_path=sys.executable, python_file=str(code), attribute="defs")
            return [InProcessCodeLocationOrigin(target, location_name="here")]

    launcher = {"module": "dagster._core.launcher.sync_in_memory_run_launcher", "class": "SyncInMemoryRunLauncher"}
    with ExitStack() as open_:
        home = prepare_dagster_home(tmp_path / "dagster")
        reference = InstanceRef.from_dir(str(home), overrides={"run_launcher": launcher})
        instance = open_.enter_context(dg.DagsterInstance.from_ref(reference))
        workspace = open_.enter_context(WorkspaceProcessContext(instance, ThisProcess()))
        request = workspace.create_request_context()
        asked = {"backfill_id": "scattered", "backfill_timestamp": NOW.timestamp(), "tags": {}}
        keys = [str(day) for day in HOLES]
        if kind == "assets":
            daily = {key for key in request.asset_graph.materializable_asset_keys if key.path[-1] != "monthly_evidence"}
            backfill = PartitionBackfill.from_asset_partitions(
                **asked,
                asset_graph=request.asset_graph,
                partition_names=keys,
                asset_selection=sorted(daily),
                dynamic_partitions_store=instance,
                all_partitions=False,
                title=None,
                description=None,
                run_config=None,
            )
        else:
            repository = next(iter(request.get_code_location("here").get_repositories().values()))
            backfill = PartitionBackfill(
                **asked,
                status=BulkActionStatus.REQUESTED,
                from_failure=False,
                partition_set_origin=repository.get_partition_set("daily_bill_partition_set").get_remote_origin(),
                partition_names=keys,
            )
        instance.add_backfill(backfill)
        for _ in range(5):
            assert not any(execute_backfill_iteration(workspace, logging.getLogger("daemon")))
            queued = instance.get_runs(dg.RunsFilter(statuses=[dg.DagsterRunStatus.QUEUED]))
            last_day = "dagster/asset_partition_range_end"
            queued = sorted(queued, key=lambda run: run.tags.get(last_day, ""), reverse="newest" in kind)
            for run in queued:
                instance.launch_run(run.run_id, workspace.create_request_context())
        assert instance.get_backfill("scattered").status is BulkActionStatus.COMPLETED_SUCCESS
        runs = [run for run in instance.get_runs() if last_day in run.tags]
        assert sorted(run.tags[last_day] for run in runs) == [str(HOLES[0]), str(HOLES[2]), str(HOLES[3])]
    assert platform.archive.days() == HOLES
    assert [file.name[:10] for file in platform.settings.outbox_folder.glob("*.eml")] == [str(HOLES[-1])]
    assert [platform.outbox.records.mailed(day).covered_by for day in HOLES] == [HOLES[-1]] * 3 + [None]
    assert not list(platform.settings.alerts_folder.glob("*"))


def test_a_backfill_from_the_shell_over_a_bill_with_holes_is_one_mail(
    sample: SampleBill, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two runs and one mail, of the newest day; what is printed is what happened, and --json says the same."""
    from finops_assets.stories.sample_bill.exports import write_export

    first, last = DAYS[1], DAYS[3]
    lines = part_of(read_export(sample.focus), last, {}, frozenset(DAYS[:4]) - {first, last})
    write_export(tmp_path / "bill", "a-bill", "FOCUS_1_2_AWS", lines, "BillingPeriodStart")
    for name, value in {
        "HOME": tmp_path / "home",
        "BILL__PATH": tmp_path / "bill",
        "ACCOUNTS__PATH": sample.accounts,
        "BILL__FIRST_DAY": DAYS[0],
        "MAIL__RECIPIENTS": ",".join(RECIPIENTS),
    }.items():
        monkeypatch.setenv(f"FINOPS_{name}", str(value))
    monkeypatch.chdir(tmp_path)

    def finops(*arguments: str) -> str:
        done = CliRunner().invoke(cli.main, arguments)
        assert done.exit_code == 0, done.output
        return done.stdout

    outbox = tmp_path / "home" / "outbox"
    assert f"digest     sent to 2 recipient(s); {outbox}" in finops("backfill")
    files = sorted(file.name for file in outbox.iterdir())
    assert [name[:10] for name in files] == [str(last)] * 2

    digest = json.loads(finops("run", "--date", str(first), "--json"))["digest"]
    assert (digest["state"], digest["spoken_for_by"], digest["messages"]) == ("not sent", str(last), 0)
    assert sorted(file.name for file in outbox.iterdir()) == files


def test_a_run_that_mails_in_part_says_so(sample: SampleBill, tmp_path: Path) -> None:
    """The run fails as ever, and its outcome names who has the digest."""
    platform = platform_at(tmp_path / "home", sample)
    mailer = Mailer(refuses=BOB)
    platform.outbox._mailer = mailer
    outcome = run_days(platform, DAY, DAY, clock=lambda: NOW)
    assert "the mailbox is full" in outcome.errors[0]
    assert outcome.digest["state"] == "sent in part"
    mailer.refuses = ""
    outcome = run_days(platform, DAY, DAY, clock=lambda: NOW)
    assert (outcome.errors, outcome.digest["words"]) == ((), "sent to 1 recipient(s)")
    platform.warehouse.close()


def test_a_tick_that_finds_several_stretches_is_one_mail(tmp_path: Path) -> None:
    """An export brings a day that an earlier one had lost, and new days: the newest day's mail speaks for all."""
    sim = Simulation(tmp_path / "home", DAYS[0], LAST, draw=lambda _: b"", in_memory=True)
    sim.at(DAYS[4], "02:00")
    sim.deliver(DAYS[3], without=frozenset((DAYS[2],)))
    sim.launch("a backfill", [sim.request(DAYS[0], DAYS[1]), sim.request(DAYS[3], DAYS[3])])
    before = len(sim.mails())
    sim.at(DAYS[6], "02:00")
    sim.deliver(DAYS[5])
    sim.sensors()
    assert [run.days for run in sim.ran[2:]] == [str(DAYS[2]), f"{DAYS[4]} to {DAYS[5]}"]
    assert [mail["Subject"].strip().split(":")[0] for mail in sim.mails()[before:]] == [f"[FinOps] {DAYS[5]:%-d %b %Y}"]
    assert [sim.platform.outbox.records.mailed(day).covered_by for day in (DAYS[2], DAYS[4])] == [DAYS[5]] * 2
    sim.close()


def test_the_resending_job_refuses_other_addresses(sample: SampleBill, archived: Path, tmp_path: Path) -> None:
    """From the UI, too: the run fails with the setting's name, and nothing goes out."""
    shutil.copytree(archived, tmp_path / "home")
    platform = platform_at(tmp_path / "home", sample)
    job = build_definitions(platform, drawing=NO_PICTURES).resolve_job_def("resend_digest")

    def failure(to: list[str]) -> str:
        config = {"ops": {"send_again": {"config": {"day": str(DAY), "to": to}}}}
        with dg.DagsterInstance.ephemeral() as instance:
            done = job.execute_in_process(config, instance=instance, raise_on_error=False)
        failed = [event for event in done.all_events if event.is_step_failure]
        return failed[0].step_failure_data.user_failure_data.description if failed else ""

    assert "mail.resend_to" in failure(["someone@elsewhere.org"])
    assert "not an e-mail address" in failure([f"{ANN}\nBcc: someone@elsewhere.org"])
    assert not platform.settings.outbox_folder.exists()
    assert failure([ANN.upper()]) == ""
    assert len(list(platform.settings.outbox_folder.iterdir())) == 1
    platform.warehouse.close()

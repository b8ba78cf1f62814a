"""The heartbeat: once a day when yesterday is done, tried again where it failed, and never a reason to fail."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from finops_assets.adapters.shared.archive import ObjectArchive, folder_store
from finops_assets.adapters.shared.heartbeat import MailHeartbeat, UrlHeartbeat
from finops_assets.core.errors import FinopsError, SettingsError
from finops_assets.core.operations.heartbeat import STILL_SENDING, Heartbeat, is_set
from finops_assets.platform import build_platform
from finops_assets.settings.load import load_settings
from finops_assets.stories.simulation import Simulation
from finops_assets_tests.operations.test_incidents import Channel

DAY = date(2025, 9, 10)
MORNING = datetime(2025, 9, 11, 7, 30, tzinfo=UTC)


@dataclass
class Alarm:
    """Somebody else's alarm, which keeps the days it was told of, and can be unreachable or take the process down."""

    broken: str = ""
    dies: bool = False
    days: list[date] = field(default_factory=list)

    def beat(self, day: date) -> str:
        if self.broken:
            raise FinopsError(self.broken)
        self.days.append(day)
        if self.dies:
            raise KeyboardInterrupt
        return f"beat {len(self.days)}"


@dataclass
class DigestService:
    """An archive, a morning whose promises are kept or not, and two alarms."""

    archive: ObjectArchive
    url: Alarm = field(default_factory=Alarm)
    mail: Alarm = field(default_factory=Alarm)
    fault: str = ""
    asked: list[datetime] = field(default_factory=list)

    def heartbeat(self) -> Heartbeat:
        """As a process that has just started has it."""

        def faults(now: datetime) -> dict[str, str]:
            self.asked.append(now)
            return {"yesterday_is_published": "", "yesterday_is_mailed": self.fault}

        def deadline(day: date) -> datetime:
            return datetime(day.year, day.month, day.day, 7, tzinfo=UTC) + timedelta(days=1)

        return Heartbeat(self.archive, {"url": self.url, "mail": self.mail}, faults=faults, deadline=deadline)


@pytest.fixture
def morning(tmp_path: Path) -> DigestService:
    return DigestService(ObjectArchive(folder_store(str(tmp_path / "archive"))))


def test_a_day_that_is_done_is_told_once(morning: DigestService) -> None:
    """By each channel once, however many runs and checks ask; the next day again. A note says where."""
    for _ in range(3):
        assert morning.heartbeat().beat(MORNING) == ()
    assert morning.url.days == morning.mail.days == [DAY]
    note = json.loads(morning.archive.get("heartbeats/2025-09-10.json"))
    assert note["sent"] == {"url": "beat 1", "mail": "beat 1"}
    morning.heartbeat().beat(MORNING + timedelta(days=1))
    assert morning.url.days == [DAY, DAY + timedelta(days=1)]


def test_a_day_that_is_not_done_is_silence(morning: DigestService) -> None:
    """Before the deadline it is yesterday that is asked for too: a run at 02:00 of an older day is no sign of life."""
    morning.fault = "2025-09-10: none"
    assert morning.heartbeat().beat(MORNING.replace(hour=2)) == ()
    assert morning.asked == [MORNING.replace(hour=7, minute=0)]
    assert morning.url.days == []
    morning.fault = ""
    morning.heartbeat().beat(MORNING.replace(hour=2))
    assert morning.url.days == [DAY]


def test_what_could_not_be_sent_is_tried_by_the_next_look(morning: DigestService) -> None:
    """Only the channel that failed; the other has it."""
    morning.url.broken = "hc-ping.com did not answer"
    assert morning.heartbeat().beat(MORNING) == ("hc-ping.com did not answer",)
    assert morning.heartbeat().beat(MORNING) == ("hc-ping.com did not answer",)
    morning.url.broken = ""
    assert morning.heartbeat().beat(MORNING) == ()
    assert (morning.url.days, morning.mail.days) == ([DAY], [DAY])


def test_a_process_killed_while_it_sends(morning: DigestService) -> None:
    """The others wait for it, then send again: rather twice than silence."""
    morning.mail.dies = True
    with pytest.raises(KeyboardInterrupt):
        morning.heartbeat().beat(MORNING)
    morning.mail.dies = False
    morning.heartbeat().beat(MORNING + timedelta(minutes=1))
    assert morning.mail.days == [DAY]
    morning.heartbeat().beat(MORNING + STILL_SENDING)
    assert morning.mail.days == [DAY, DAY]


def test_a_damaged_note_is_no_silence(morning: DigestService) -> None:
    """It is written anew."""
    morning.archive.put("heartbeats/2025-09-10.json", b"{")
    morning.heartbeat().beat(MORNING)
    morning.heartbeat().beat(MORNING)
    assert morning.url.days == [DAY]


def test_without_channels_nothing_is_asked(morning: DigestService) -> None:
    """Whoever has not set one pays nothing for it."""
    nobody = Heartbeat(morning.archive, {}, faults=lambda now: pytest.fail("asked"), deadline=lambda day: MORNING)
    assert nobody.beat(MORNING) == ()
    assert morning.archive.list("heartbeats/") == []


# --- the channels -------------------------------------------------------------------------------------------------


@pytest.fixture
def server() -> Iterator[ThreadingHTTPServer]:
    """Answers by the path that is asked for: a status, or `/to/URL`, which leads there; keeps what it was asked."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.server.asked.append((self.path, self.headers["User-Agent"]))
            if self.path.startswith("/to/"):
                self.send_response(302)
                self.send_header("Location", self.path.removeprefix("/to/"))
            elif self.path == "/nothing":
                self.close_connection = True
                return
            else:
                self.send_response(int(self.path[1:4]))
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as found:
        found.asked = []
        Thread(target=found.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        yield found
        found.shutdown()


def test_the_address_is_requested(server: ThreadingHTTPServer) -> None:
    """By GET, with our name, and where it leads."""
    here = f"127.0.0.1:{server.server_port}"
    assert UrlHeartbeat(f"http://{here}/200/secret").beat(DAY) == f"{here}: 200"
    UrlHeartbeat(f"http://{here}/to//204").beat(DAY)
    assert [path for path, _ in server.asked] == ["/200/secret", "/to//204", "/204"]
    assert {agent.split("/")[0] for _, agent in server.asked} == {"finops_assets"}


@pytest.mark.parametrize(
    ("path", "says"),
    [
        ("/404/secret", "answered 404"),
        ("/500/secret", "answered 500"),
        ("/nothing", "did not answer"),
        ("/to/file:///etc/passwd", "answered 302"),
        ("/to/ftp://127.0.0.1/secret", "did not answer"),
    ],
)
def test_what_is_no_2xx_is_an_error_that_tells_no_secret(server: ThreadingHTTPServer, path: str, says: str) -> None:
    """The host and what it said; the path, which is the password of such services, is in no message."""
    with pytest.raises(FinopsError) as caught:
        UrlHeartbeat(f"http://127.0.0.1:{server.server_port}{path}").beat(DAY)
    assert says in str(caught.value)
    assert f"127.0.0.1:{server.server_port}" in str(caught.value)
    assert "secret" not in str(caught.value)


def test_a_server_that_is_gone_is_an_error(server: ThreadingHTTPServer) -> None:
    """In words, with the setting."""
    server.server_close()
    with pytest.raises(FinopsError) as caught:
        UrlHeartbeat(f"http://127.0.0.1:{server.server_port}/secret").beat(DAY)
    assert "did not answer" in caught.value.what
    assert "FINOPS_ALERTS__HEARTBEAT_URL" in caught.value.where


def test_the_mail_says_which_day_and_what_to_do_without_it() -> None:
    """One id a day, so that the same again is no second message where the channel can tell."""
    channel = Channel()
    MailHeartbeat(channel, "docs/runbook.md").beat(DAY)
    ((subject, text, number),) = channel.sent
    assert (subject, number) == ("FinOps: 2025-09-10 is done", "heartbeat-2025-09-10")
    assert "docs/runbook.md#the-heartbeat-is-missing" in text


# --- settings, doctor, and the real morning ---------------------------------------------------------------------------


NO_ADDRESSES = [
    "hc-ping.com/abc",
    "ftp://hc-ping.com",
    "file:///x",
    "https:///x",
    "https://köln.de/x",
    "http://a b",
]


@pytest.mark.parametrize("url", NO_ADDRESSES)
def test_an_address_that_cannot_be_requested_is_refused(tmp_path: Path, url: str) -> None:
    """The error names the setting."""
    with pytest.raises(SettingsError) as caught:
        load_settings({}, {"alerts.heartbeat_url": url}, folder=tmp_path)
    assert caught.value.where.startswith("alerts.heartbeat_url")


def test_the_doctor_says_whether_it_is_set(tmp_path: Path) -> None:
    """Where it is not, that nobody notices; where it is, to whom, without the secret."""
    assert is_set("", ()).state == "skip"
    found = is_set("https://user:pw@hc-ping.com/0123-secret", ("ops@example.com",))
    assert found.state == "ok"
    assert "hc-ping.com and a mail to ops@example.com" in found.detail
    assert "secret" not in found.detail
    assert "pw" not in found.detail
    values = {"home": str(tmp_path), "alerts.heartbeat_url": "https://hc-ping.com/0123"}
    platform = build_platform(load_settings({}, values, folder=tmp_path))
    assert [f.state for f in platform.preflight.check() if f.name == "heartbeat"] == ["ok"]


def test_a_real_morning_gives_its_sign_of_life(tmp_path: Path) -> None:
    """The run of the day sends it; where the alarm was out of reach, run and checks are green, a sensor sends it."""
    alarm = Alarm(broken="hc-ping.com did not answer")
    sim = Simulation(
        tmp_path / "home",
        DAY - timedelta(days=1),
        DAY,
        draw=lambda _: b"",
        in_memory=True,
        adapt=lambda platform: replace(platform, heartbeats={"url": alarm}),
    )
    sim.at(DAY, "02:00")
    sim.deliver(DAY - timedelta(days=1))
    sim.launch("a run", [sim.request(DAY - timedelta(days=1), DAY - timedelta(days=1))])
    assert [ran.success for ran in sim.ran] == [True]
    assert alarm.days == []
    sim.at(DAY, "07:30")
    assert sim.checks()
    assert alarm.days == []
    alarm.broken = ""
    sim.sensors()
    assert alarm.days == [DAY - timedelta(days=1)]

    sim.at(DAY + timedelta(days=1), "07:30")
    assert not sim.checks(), "the bill is late"
    assert len(alarm.days) == 1
    sim.deliver(DAY)
    sim.sensors()
    assert alarm.days == [DAY - timedelta(days=1), DAY]
    assert sim.checks()
    assert len(alarm.days) == 2
    sim.close()

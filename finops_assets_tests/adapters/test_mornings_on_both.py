"""Five mornings without a daemon, on both platforms: `finops morning` does once what sensors and schedules do all day.

Dagster's records are new each time, as those of a task that ends are: what is remembered is in the archive.
"""

from __future__ import annotations

import email
import email.policy
import json
import os
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from finops_assets.adapters.shared.archive import ObjectArchive
from finops_assets.cli.errors import ALERTED, FAILED
from finops_assets.core.operations.watch import Watch
from finops_assets_tests.support.bills import ACCOUNT, at, line, make_bill
from finops_assets_tests.support.command import finops
from finops_assets_tests.support.on_aws import TABLE, make_ready, on_aws

RECIPIENTS = ("a@example.com", "b@example.com")


class KilledError(BaseException):
    """The process is gone: nothing of it does anything any more."""


@dataclass
class World:
    """A platform that is looked after by `finops morning` alone."""

    folder: Path
    environment: Mapping[str, str]
    put: Callable[[Path, datetime], None]
    mails: Callable[[], list[str]]
    records: dict[Path, Any]
    calls: Callable[[], Counter[tuple[str, str]]] = Counter
    told: int = 0
    mailed: int = 0
    costs: dict[date, Decimal] = field(default_factory=dict)

    def deliver(self, now: datetime, **costs: int) -> None:
        """An export of now; `d9=100` is the cost of the 9th."""
        self.costs |= {september(int(day[1:])): Decimal(cost) for day, cost in costs.items()}
        lines = [line(cost, start=at(day)) for day, cost in self.costs.items()]
        self.put(make_bill(self.folder / "bill", lines), now)

    def morning(self, now: datetime) -> tuple[int, list[str], Counter[str]]:
        """One `finops morning`: its exit code, the alerts of it, and the mails of it by subject."""
        self.records.clear()
        done = finops("morning", cwd=self.folder, now=now, **self.environment)
        return done.exit_code, self._alerts(), self._mails()

    def _alerts(self) -> list[str]:
        files = sorted((self.folder / ".finops" / "alerts").glob("*.eml"), key=lambda file: file.stat().st_mtime_ns)
        new, self.told = files[self.told :], len(files)
        parsed = [email.message_from_bytes(file.read_bytes(), policy=email.policy.default) for file in new]
        return sorted(message["Subject"].removeprefix("FinOps: ") for message in parsed)

    def _mails(self) -> Counter[str]:
        subjects = self.mails()
        new, self.mailed = subjects[self.mailed :], len(subjects)
        return Counter(re.split(r": [0-9]|;", subject.removeprefix("[FinOps] "))[0] for subject in new)


def september(day: int) -> date:
    return date(2025, 9, day)


def on(day: int, hour: int = 7, minute: int = 0) -> datetime:
    """A task starts some seconds after its time."""
    return datetime(2025, 9, day, hour, minute, 20, tzinfo=UTC)


@pytest.fixture(params=["local", "aws"])
def world(
    request: pytest.FixtureRequest,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    records_in_memory: dict[Path, Any],
) -> World:
    (tmp_path / "accounts.csv").write_text(f"account_id,account_name,ou_path\n{ACCOUNT},shop,Shop\n", encoding="utf-8")
    chosen = {"accounts__path": tmp_path / "accounts.csv", "mail__recipients": ",".join(RECIPIENTS)}
    chosen |= {"schedule__doctor_cron": "30 6 10 * *"}  # the first of them has the check-up, which takes a second
    chosen |= {"bill__first_day": "2025-09-01", "mail__sender": "finops@example.com", "schedule__retry_seconds": 0}
    if request.param == "local":
        chosen |= {"home": tmp_path / ".finops", "bill__path": tmp_path / "bill"}

        def touch(file: Path, written: datetime) -> None:
            os.utime(file, (written.timestamp(), written.timestamp()))

        def in_outbox() -> list[str]:
            files = sorted((tmp_path / ".finops" / "outbox").glob("*.eml"), key=lambda file: file.stat().st_mtime_ns)
            parsed = [email.message_from_bytes(file.read_bytes(), policy=email.policy.default) for file in files]
            return [message["Subject"] for message in parsed]

        environment = {f"FINOPS_{name.upper()}": str(value) for name, value in chosen.items()}
        return World(tmp_path, environment, touch, in_outbox, records_in_memory)

    from finops_assets.adapters.aws import bill_listing
    from finops_assets.adapters.aws.doctor import bill as check_up_of_bill

    aws, times, listed = request.getfixturevalue("aws"), [on(1)], bill_listing.objects_below
    # S3's own clock is the machine's: the bill's objects are as old as their delivery.
    monkeypatch.setattr(
        bill_listing, "objects_below", lambda *where: ({**each, "last_modified": times[-1]} for each in listed(*where))
    )
    monkeypatch.setattr(check_up_of_bill, "TOO_OLD", float("inf"))  # by the machine's clock, too
    make_ready(aws, make_bill(tmp_path / "bill", [line(1)]).parent)

    def upload(file: Path, written: datetime) -> None:
        times.append(written)
        aws.client("s3").put_object(
            Bucket="a-bill-bucket", Key=f"{TABLE.split('.')[1]}/{file.name}", Body=file.read_bytes()
        )

    def sent() -> list[str]:
        return [each.message["Subject"] for each in aws.mail.sent]

    return World(tmp_path, on_aws(aws, tmp_path, **chosen), upload, sent, records_in_memory, aws.calls.counts)


@contextmanager
def killed_before(place: str) -> Iterator[None]:
    """From the first object below a prefix on, this process writes nothing any more, and ends."""
    dead: list[str] = []

    def dying(write: Callable[..., Any]) -> Callable[..., Any]:
        def written(archive: ObjectArchive, where: Any, *rest: Any, **how: Any) -> Any:
            if dead or str(where).startswith(place):
                dead.append(str(where))
                raise KilledError
            return write(archive, where, *rest, **how)

        return written

    with pytest.MonkeyPatch.context() as patch:
        for name in ("put", "create", "delete"):
            patch.setattr(ObjectArchive, name, dying(getattr(ObjectArchive, name)))
        with pytest.raises(AssertionError, match=KilledError.__name__):  # the command has no words for it
            yield


def test_five_mornings(world: World) -> None:
    """Ordinary, late, restated, killed, nothing to do: each is alerted once, mailed once a recipient, and healed."""
    world.deliver(on(10, 5), d8=100, d9=100)
    assert world.morning(on(10)) == (0, [], {"9 Sep 2025": 2})

    assert world.morning(on(11)) == (ALERTED, ["the bill is late: 2025-09-10"], {"10 Sep 2025: no bill yet": 2})
    assert world.morning(on(11, 7, 30)) == (ALERTED, [], {}), "the checks are red, and say nothing that is not known"
    world.deliver(on(11, 10), d10=100)
    arrived = ["all clear, the bill has arrived: 2025-09-10"]
    assert world.morning(on(11, 10, 30)) == (0, arrived, {"10 Sep 2025, revision 2": 2})

    world.deliver(on(12, 5), d9=150, d11=100)
    corrected = ["a day that was mailed has changed: 2025-09-09", "all clear, the change was mailed: 2025-09-09"]
    assert world.morning(on(12)) == (0, corrected, {"9 Sep 2025, revision 2": 2, "11 Sep 2025": 2})

    world.deliver(on(13, 5), d12=100)
    with killed_before("digests/2025-09-12/"):
        world.morning(on(13))
    assert world.morning(on(13, 7, 3)) == (0, [], {}), "a process that gave a sign of life just now is left alone"
    told = ["a run failed: 2025-09-12", "all clear, the days of the failed run are whole: 2025-09-12"]
    assert world.morning(on(13, 7, 30)) == (0, told, {"12 Sep 2025": 2})

    world.deliver(on(14, 5), d13=100)
    assert world.morning(on(14, 5, 30)) == (0, [], {"13 Sep 2025": 2})
    assert world.morning(on(14)) == (0, [], {})
    assert world.morning(on(14, 7, 30)) == (0, [], {})

    before = world.calls()
    assert world.morning(on(14, 8)) == (0, [], {})
    taken = world.calls() - before
    assert taken.total() <= 35, "24 of them each morning cost some cents a month"
    assert [service for service, _ in taken if service == "athena"] == []

    status = json.loads(finops("status", "--json", cwd=world.folder, now=on(14, 8), **world.environment).stdout)
    assert status["incidents"] == []
    assert {row["day"]: row["total"] for row in status["days"]} == {
        str(september(day)): total for day, total in zip(range(9, 14), ("150", "100", "100", "100", "100"), strict=True)
    }


@pytest.mark.parametrize("world", ["local"], indirect=True)
def test_what_breaks_in_one_sensor_does_not_hold_up_the_others(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """As with the daemon: yesterday is run and mailed all the same. Nobody was alerted, and the exit code says so."""

    def broken(*_: Any) -> None:
        raise RuntimeError("a defect")

    monkeypatch.setattr(Watch, "news", broken)
    world.deliver(on(10, 5), d9=100)
    assert world.morning(on(10)) == (FAILED, [], {"9 Sep 2025": 2})


@pytest.mark.parametrize("world", ["local"], indirect=True)
def test_an_alert_that_cannot_be_sent_is_not_taken_for_sent(world: World) -> None:
    """Exit code 3 is for what people know of: whoever watches exit codes tells the rest."""
    world.deliver(on(10, 5), d9=100)
    (world.folder / ".finops").mkdir()
    (world.folder / ".finops" / "alerts").write_text("no folder", encoding="utf-8")
    assert finops("morning", cwd=world.folder, now=on(11), **world.environment).exit_code == FAILED

"""The stories of `finops demo --scenario`: what goes wrong in a FinOps team's mornings, and what the platform does.

Each plays on a home of its own, with the real platform and Dagster; `finops_assets.stories.simulation` tells the time.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from datetime import date, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

from finops_assets.core.schemas import day_path
from finops_assets.settings.load import SETTINGS_FILE
from finops_assets.stories.demo import FIRST_WORDS
from finops_assets.stories.simulation import Simulation

HISTORY = 12
"""Days that are archived when a story begins."""

MAILED = {"restatement": 3}
"""Days that have a digest of their own then, if that is more than one."""

SHORT_BILL = 45
"""Days of the sample bill: the months that AWS may still change."""


def late_export(sim: Simulation) -> None:
    """The bill is not there at 07:00: the digest says so, and the day follows when it arrives."""
    day = sim.last_day
    sim.at(day + timedelta(days=1), "06:59")
    sim.sensors()
    sim.morning(day)
    sim.at(day + timedelta(days=1), "07:30")
    sim.say(f"the checks of the morning are {'green' if sim.checks() else 'red'}")
    sim.at(day + timedelta(days=1), "16:10")
    sim.deliver(day)
    sim.sensors()
    sim.say(f"the checks of the morning are {'green' if sim.checks() else 'red'}")


def restatement(sim: Simulation) -> None:
    """AWS changes three past days: one is told in the next digest, one is corrected at once, all are in the ledger."""
    day = sim.last_day
    sim.at(day + timedelta(days=1), "02:10")
    little, much = day - timedelta(days=1), day - timedelta(days=3)
    sim.deliver(day, {little: 1.012, much: 1.25, day - timedelta(days=6): 1.0001})
    sim.sensors()
    sim.morning(day)
    query(
        sim,
        "SELECT billingdate, COUNT(*) AS changed_rows, SUM(oldcost) AS old, SUM(newcost) AS new, SUM(delta) AS delta "
        "FROM restatements GROUP BY billingdate ORDER BY 1",
    )


def ou_move(sim: Simulation) -> None:
    """An account turns out to have moved a week ago: the days since are told anew, the total of each stays."""
    day = sim.last_day
    since = day - timedelta(days=6)
    rows = sim.accounts.read_text(encoding="utf-8").splitlines()
    account, name = rows[1].split(",")[:2]
    rows.append(f"{account},{name},Acquisitions/Newcomers,{since},")
    sim.accounts.write_text("\n".join(rows) + "\n", encoding="utf-8")
    sim.say(f"accounts.csv says now that {name} has been in Acquisitions/Newcomers since {since}")
    sim.at(day + timedelta(days=1), "02:10")
    sim.deliver(day)
    sim.sensors()
    sim.now += timedelta(minutes=1)
    sim.sensors()
    query(
        sim,
        f"SELECT billingdate, ou, ROUND(SUM(dailycost), 2) AS cost FROM ou_breakdown WHERE linkedaccount = '{account}' "
        "GROUP BY billingdate, ou ORDER BY 1",
    )


def missing_day(sim: Simulation) -> None:
    """A day's object is deleted, another's partition dropped: both are mended; a day that the bill lost is told."""
    import sqlite3

    day = sim.last_day
    gone, dropped = day - timedelta(days=6), day - timedelta(days=3)
    (sim.platform.settings.archive_folder / day_path(gone)).unlink()
    sim.say(f"somebody deletes the object of {gone}")
    with sqlite3.connect(sim.platform.settings.catalog_file) as con:
        con.execute("DELETE FROM partitions WHERE year = ? AND month = ? AND day = ?", dropped.timetuple()[:3])
    con.close()
    sim.say(f"somebody drops the partition of {dropped}")
    sim.at(day, "12:00")
    sim.sensors()
    sim.say(f"not whole now: {sorted(map(str, sim.watch.inspect(sim.now).not_whole)) or 'no day'}")
    lost = day - timedelta(days=9)
    (sim.platform.settings.archive_folder / day_path(lost)).unlink()
    sim.at(day + timedelta(days=1), "02:10")
    sim.deliver(day, without=frozenset((lost,)))
    sim.say(f"the object of {lost} is deleted too, and the new export does not have that day")
    sim.sensors()
    sim.at(day + timedelta(days=1), "12:00")
    sim.deliver(day)
    sim.sensors()


def bounce(sim: Simulation) -> None:
    """A recipient's mail server returns the digest: the team is told who does not read it, and when that is mended."""
    day = sim.last_day
    sim.at(day + timedelta(days=1), "02:10")
    sim.deliver(day)
    sim.sensors()
    folder = sim.platform.settings.bounces_folder
    folder.mkdir(parents=True, exist_ok=True)
    report = folder / "undeliverable.eml"
    recipient = sim.platform.settings.mail.recipients[0]
    report.write_text(bounce_report(recipient, sim.now), encoding="utf-8")
    sim.say(f"the mail server of {recipient} returns the digest; the report is delivered to {folder}")
    sim.sensors()
    sim.at(day + timedelta(days=1), "10:00")
    report.unlink()
    sim.say("the mailbox is mended, and the report removed")
    sim.sensors()


def spice_failure(sim: Simulation) -> None:
    """The dashboard cannot be refreshed: the day is archived and mailed all the same, and the mail says so."""
    day = sim.last_day
    page = sim.platform.settings.dashboard_file
    kept = page.with_name("kept.html")
    page.rename(kept)
    page.mkdir()
    sim.at(day + timedelta(days=1), "02:10")
    sim.deliver(day)
    sim.sensors()
    page.rmdir()
    kept.rename(page)
    sim.say("what stood in the dashboard's way is gone")
    sim.hours(sim.now + timedelta(hours=1), timedelta(minutes=20))


def crash(sim: Simulation) -> None:
    """The process is killed in the middle of its work: nothing is half there, and the day is finished by itself."""
    day = sim.last_day
    sim.at(day + timedelta(days=1), "02:10")
    sim.deliver(day)
    environment = {**os.environ, "FINOPS_HOME": str(sim.home), "DAGSTER_HOME": ""}
    del environment["DAGSTER_HOME"]
    code = (
        "import os, signal, sys\n"
        "from datetime import date\n"
        "from finops_assets.platform import build_platform\n"
        "from finops_assets.defs.run import run_days\n"
        "from finops_assets.settings.load import load_settings\n"
        "def tell(text):\n"
        "    if 'ou_breakdown_parquet' in text: os.kill(os.getpid(), signal.SIGKILL)\n"
        "if __name__ == '__main__':\n"
        "    run_days(build_platform(load_settings()), *[date.fromisoformat(sys.argv[1])] * 2, tell=tell)\n"
    )
    done = subprocess.run(  # noqa: S603  (our own interpreter and code)
        [sys.executable, "-c", code, str(day)],
        env=environment,
        cwd=sim.home.parent,
        check=False,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    killed = "killed once the day was archived" if done.returncode == -signal.SIGKILL else "not killed"
    sim.say(f"the process that ran {day} was {killed}")
    fault = ", ".join(f"{gap.first}: {gap.cause}" for gap in sim.watch.inspect(sim.now).gaps)
    sim.say(f"what it left: {fault or 'nothing to mend'}")
    sim.bury_the_dead()
    sim.hours(sim.now + timedelta(minutes=20), timedelta(minutes=10))
    sim.say(f"and then: {sim.platform.outbox.records.mailed(day)}")


SCENARIOS: dict[str, Callable[[Simulation], None]] = {
    "late-export": late_export,
    "restatement": restatement,
    "ou-move": ou_move,
    "missing-day": missing_day,
    "bounce": bounce,
    "spice-failure": spice_failure,
    "crash": crash,
}


def play(name: str, home: Path, last_day: date, tell: Callable[[str], None]) -> None:
    """Play a story in a home of its own, which is emptied first, and leave it to be looked at.

    Args:
        name: one of SCENARIOS.
        home: its folder.
        last_day: the newest day of the bill.
        tell: told each thing that happens, with its time.
    """
    if home.exists():
        shutil.rmtree(home)
    sim = Simulation(home, last_day - timedelta(days=SHORT_BILL - 1), last_day, tell=tell)
    settings = f"""{FIRST_WORDS} --scenario {name}: this home holds a story on the sample bill.
[bill]
path = "{sim.bill.relative_to(home)}"
first_day = {sim.first_day}

[accounts]
path = "{sim.accounts.relative_to(home)}"
"""
    (home / SETTINGS_FILE).write_text(settings, encoding="utf-8")
    begin(sim, MAILED.get(name, 1))
    SCENARIOS[name](sim)
    sim.close()


def begin(sim: Simulation, mailed: int = 1) -> None:
    """The mornings before: days are archived, on the dashboard and mailed up to the day before the last one."""
    before = sim.last_day - timedelta(days=mailed + 1)
    sim.at(before + timedelta(days=1), "02:00")
    sim.deliver(before)
    sim.launch("a backfill", [sim.request(before - timedelta(days=HISTORY - 1), before)])
    for _ in range(mailed):
        before += timedelta(days=1)
        sim.at(before + timedelta(days=1), "02:00")
        sim.deliver(before)
        sim.sensors()


def query(sim: Simulation, sql: str) -> None:
    """Show what a query gives."""
    columns, rows = sim.platform.catalog.query(sql)
    for row in (columns, *rows):
        sim.tell("    " + "  ".join(str(value) for value in row))


def bounce_report(recipient: str, at: datetime) -> str:
    """A delivery status notification as a mail server writes it (RFC 3464)."""
    return f"""Return-Path: <>
Date: {format_datetime(at)}
From: Mail Delivery System <MAILER-DAEMON@mail.example.com>
To: finops-assets@localhost
Subject: Undelivered Mail Returned to Sender
MIME-Version: 1.0
Content-Type: multipart/report; report-type=delivery-status; boundary="b1"

--b1
Content-Type: text/plain; charset=us-ascii

I'm sorry to have to inform you that your message could not be delivered.

--b1
Content-Type: message/delivery-status

Reporting-MTA: dns; mail.example.com
Arrival-Date: {format_datetime(at)}

Final-Recipient: rfc822; {recipient}
Action: failed
Status: 5.1.1
Diagnostic-Code: smtp; 550 5.1.1 <{recipient}>: Recipient address rejected: User unknown

--b1--
"""

"""`finops`, as a person and as a program uses it: what it prints, what it leaves, how it exits."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from click.shell_completion import ShellComplete

from finops_assets.cli import layout
from finops_assets.cli.main import main
from finops_assets.core.archive.tables import TABLES, missing_table
from finops_assets.stories.sample_bill import SampleBill, write_sample_bill
from finops_assets_tests.support.command import finops

pytestmark = pytest.mark.usefixtures("records_in_memory")

FIRST, LAST = date(2025, 9, 1), date(2025, 9, 5)

DEMO_NOW = datetime(2025, 9, 13, 7, tzinfo=UTC)
"""When the demo is made and looked at: its days do not depend on the day on which tests run."""


def process(*arguments: str, cwd: Path, **environment: str) -> subprocess.CompletedProcess:
    """The command in a process of its own, with none of this machine's settings."""
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("FINOPS_", "DAGSTER_"))}
    command = [sys.executable, "-m", "finops_assets", *arguments]
    return subprocess.run(command, cwd=cwd, env=clean | environment, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def bill(tmp_path_factory: pytest.TempPathFactory) -> SampleBill:
    return write_sample_bill(tmp_path_factory.mktemp("bill") / "bill", LAST, 5)


@pytest.fixture(scope="module")
def own(bill: SampleBill, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a finops.toml for the bill, after `finops backfill` without arguments; tests only look."""
    folder = tmp_path_factory.mktemp("own")
    (folder / "finops.toml").write_text(
        f"[bill]\npath = '{bill.focus}'\nfirst_day = 2025-09-01\n[accounts]\npath = '{bill.accounts}'\n"
        "[mail]\nrecipients = ['a@example.com', 'b@example.com']\n"
    )
    done = finops("backfill", "--json", cwd=folder)
    assert done.exit_code == 0, done.stderr
    made = json.loads(done.stdout)
    assert [day["day"] for day in made["days"]] == [str(FIRST + timedelta(i)) for i in range(5)]
    assert [(run["first"], run["last"], run["run_id"]) for run in made["runs"]] == [
        (str(FIRST), str(LAST), made["run_id"])
    ]
    assert (made["succeeded"], made["cause"], len(made["run_id"])) == (True, "", 36)
    return folder


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder after `finops demo --days 3` at DEMO_NOW."""
    folder = tmp_path_factory.mktemp("demo")
    done = finops("demo", "--days", "3", cwd=folder, now=DEMO_NOW)
    assert done.exit_code == 0, done.stderr
    return folder


def test_status_json_says_of_each_day_what_is_there(own: Path) -> None:
    """Per day: rows, the exact total as a string, settlement, archived, registered, mailed."""
    done = finops("status", "--json", cwd=own)
    status = json.loads(done.stdout)
    assert status["platform"] == "local"
    days = status["days"]
    assert [d["day"] for d in days] == [str(FIRST + timedelta(i)) for i in range(5)]
    for day in days:
        assert day["rows"] > 100
        assert isinstance(day["total"], str)
        assert Decimal(day["total"]) > 1000
        assert (day["settlement"], day["archived"], day["registered"], day["mailed"]) == ("closed", True, True, "sent")
        assert (day["currency"], day["cost_basis"]) == ("USD", "billed")


def test_commitments_are_a_table_of_what_is_used_and_what_is_not(own: Path) -> None:
    """A plan's used and unused sum to its fee of a day, 24 hours of 9.30 USD; FOCUS does not tell when it ends."""
    plans = json.loads(finops("commitments", "--json", cwd=own).stdout)
    (plan,) = (each for each in plans if each["kind"] == "savings plan")
    assert Decimal(plan["day"]["used"]) + Decimal(plan["day"]["unused"]) == Decimal("223.2")
    assert Decimal(plan["month"]["used"]) + Decimal(plan["month"]["unused"]) == 5 * Decimal("223.2")
    header, *lines = finops("commitments", cwd=own).stdout.splitlines()
    assert header.startswith("September 2025 as of 2025-09-05, in USD, amortized")
    (line,) = (each for each in lines if each.startswith("savings plan"))
    assert "arn:" not in line
    assert line.split()[-2:] == ["not", "told"]
    assert lines[-1].startswith("Coverage: ")


def test_status_for_people_is_a_table(own: Path) -> None:
    """The same as a table, with currency and cost basis beside the numbers."""
    done = finops("status", cwd=own)
    assert done.stdout.splitlines()[0].split()[:4] == ["day", "rows", "USD", "(billed)"]
    # The bill ends in 2025: what has come due since is not there.
    assert "days from 2025-09-01 to " in done.stdout
    assert "not whole (source late: 2025-09-06 to " in done.stdout


def test_query_reads_the_archives_tables(own: Path) -> None:
    """`finops query` answers over finops_db's tables and agrees with status to the cent."""
    done = finops("query", "--json", "SELECT BillingDate, SUM(DailyCost) AS cost FROM ou_breakdown GROUP BY 1", cwd=own)
    found = {row["billingdate"]: round(row["cost"], 2) for row in json.loads(done.stdout)}
    days = json.loads(finops("status", "--json", cwd=own).stdout)["days"]
    assert found == {day["day"]: round(float(day["total"]), 2) for day in days}
    table = finops("query", "SELECT COUNT(*) AS accounts FROM account_ou_map", cwd=own)
    assert table.stdout.splitlines()[0] == "accounts"


def test_a_query_of_a_table_that_is_not_there_names_the_nearest(own: Path) -> None:
    """In DuckDB's words and in Athena's; help lists what SHOW TABLES does."""
    done = finops("query", "SELECT * FROM ou_breakdwn", cwd=own)
    assert "Did you mean ou_breakdown?" in done.stderr
    athena = missing_table(
        "the query failed: TABLE_NOT_FOUND: line 1:15: Table 'awsdatacatalog.finops_db.x' does not exist"
    )
    assert athena is not None
    assert athena.what == "there is no table x"
    listed = finops("query", "--help", cwd=own, COLUMNS="80").stdout.split("Tables:")[1]
    assert [line.split()[0] for line in listed.strip().splitlines()] == list(TABLES)


@pytest.mark.parametrize("words", [("status",), ("doctor",), ("gaps",), ("query", "SHOW TABLES")])
def test_it_fits_a_terminal_of_80_columns(own: Path, words: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    """Lines of words are wrapped; a path of this test's folder, which is longer, stays whole."""
    monkeypatch.setattr(layout, "width_of", lambda _: 80)
    lines = finops(*words, cwd=own, now=datetime(2025, 9, 6, 9, tzinfo=UTC)).stdout.splitlines()
    assert len(lines) > 1
    assert not [line for line in lines if len(line) > 80 and len(line.split()) > 1]


def test_a_day_long_after_the_bills_end_is_refused_without_a_run_or_an_alert(own: Path) -> None:
    """It names the newest day; a bill that is late by some days is an incident, as before."""
    runs = len(list((own / ".finops" / "dagster" / "history" / "runs").glob("*.db")))
    done = finops("run", cwd=own, now=datetime(2025, 11, 2, 9, tzinfo=UTC))
    assert done.exit_code == 1
    assert f"yesterday, 2025-11-01, is not in this bill; its newest day is {LAST}" in done.stderr
    assert len(list((own / ".finops" / "dagster" / "history" / "runs").glob("*.db"))) == runs
    assert not list((own / ".finops" / "alerts").glob("*.eml"))


def test_the_shell_completes_commands_and_scenarios() -> None:
    """What `_FINOPS_COMPLETE=bash_source finops` sets up; a wrong name is answered with the one that was meant."""
    tab = ShellComplete(main, {}, "finops", "_FINOPS_COMPLETE")
    assert [item.value for item in tab.get_completions([], "bac")] == ["backfill"]
    assert [item.value for item in tab.get_completions(["demo", "--scenario"], "late")] == ["late-export"]


def test_a_wrong_query_is_one_line_and_exit_1(own: Path) -> None:
    """A query that fails says why."""
    done = finops("query", "SELECT nothing FROM ou_breakdown", cwd=own)
    assert done.exit_code == 1
    assert done.stderr.startswith("error: ")


def test_one_mail_per_recipient_and_resend_sends_the_same_again(own: Path) -> None:
    """A backfill mails each recipient once; resend sends the stored digest again, to all or to one."""
    outbox = own / ".finops" / "outbox"
    before = set(outbox.iterdir())
    assert len([f for f in before if "resend" not in f.name]) == 2
    done = finops("resend", str(LAST), "--to", "b@example.com", "--json", cwd=own)
    assert [d["recipient"] for d in json.loads(done.stdout)] == ["b@example.com"]
    (again,) = set(outbox.iterdir()) - before

    def body(file: Path) -> bytes:
        return file.read_bytes().split(b"\r\n\r\n", 1)[1]

    assert any(body(again) == body(file) for file in before)


def test_resending_a_day_that_is_not_archived_says_so(own: Path) -> None:
    """There is nothing to send, and nothing to make it of: exit 1, and what to do."""
    done = finops("resend", "2025-08-31", cwd=own)
    assert done.exit_code == 1
    assert "finops run --date 2025-08-31" in done.stderr


WRONG = [
    (["run", "--date", "2025-9-1"], {}, 2, "YYYY-MM-DD", "a malformed day is wrong usage"),
    (["run", "--date", "2024-01-01"], {}, 2, "bill.first_day", "a day before the first is a matter of settings"),
    (["run", "--date", "2099-01-01"], {}, 2, "not over yet", "tomorrow's bill cannot be archived"),
    (["backfill", "2025-09-02", "2025-09-01"], {}, 2, "after TO", "a range runs forwards"),
    (["backfill", "2025-09-02"], {}, 2, "both FROM and TO", "half a range is no range"),
    (["run", "--date", "2025-09-06"], {}, 1, "2025-09-06", "the bill has no such day: a failed run, never a green one"),
    (["status"], {"FINOPS_BILL__COST_BASSIS": "billed"}, 2, "FINOPS_BILL__COST_BASSIS", "a typo is not ignored"),
    (["status"], {"FINOPS_BILL__COST_BASIS": "list"}, 2, "bill.cost_basis", "an unknown cost basis is named"),
    (["status"], {"FINOPS_PLATFORM": "aws"}, 2, "FINOPS_AWS__BUCKET", "what AWS needs is named"),
    (["run", "--date", "2025-09-01"], {"FINOPS_ACCOUNTS__OU_LEVEL": "9"}, 1, "accounts.ou_level", "no OU is so deep"),
    (["run", "--date", "2025-09-01"], {"FINOPS_BILL__PATH": "gone"}, 1, "bill.path", "the bill's path is named"),
    (["run", "--date", "2025-09-01"], {"FINOPS_BILL__COST_BASIS": "net_unblended"}, 1, "billed or effective", "FOCUS"),
    (["run", "--date", "2025-09-01"], {"FINOPS_HOME": "/proc/finops"}, 1, "FINOPS_HOME", "an unwritable home is named"),
]


@pytest.mark.parametrize(("arguments", "environment", "code", "says", "reason"), WRONG, ids=[w[-1] for w in WRONG])
def test_wrong_input_ends_in_a_message_and_an_exit_code(
    own: Path, tmp_path: Path, arguments: list[str], environment: dict, code: int, says: str, reason: str
) -> None:
    """Each mistake names its setting or day on stderr, exits with its code, and leaves the archive as it was."""
    (tmp_path / "finops.toml").write_text((own / "finops.toml").read_text())
    done = finops(*arguments, cwd=tmp_path, **environment)
    assert done.exit_code == code, done.stderr
    assert says in done.stderr
    assert not list(tmp_path.rglob("ou_breakdown.parquet"))


def test_a_process_exits_with_the_code_and_without_a_stack_trace(own: Path) -> None:
    """Installed, the command is a process: an error is its line on stderr, and nothing on stdout."""
    for arguments, code in ((("run", "--date", "2025-9-1"), 2), (("query", "SELECT nothing FROM ou_breakdown"), 1)):
        done = process(*arguments, cwd=own)
        assert (done.returncode, done.stdout) == (code, "")
        assert "Traceback" not in done.stderr
        assert done.stderr


def test_the_demo_makes_everything_and_says_where_it_is(demo: Path) -> None:
    """The sample bill, the archive, the dashboard and the digest are there, and a second demo changes nothing."""
    home = demo / ".finops"
    status = json.loads(finops("status", "--json", cwd=demo, now=DEMO_NOW).stdout)["days"]
    assert [d["day"] for d in status] == ["2025-09-10", "2025-09-11", "2025-09-12"]
    assert (home / "dashboard.html").stat().st_size > 10_000
    assert len(list((home / "outbox").glob("*.eml"))) == 3, "the team, an executive and the readers of one OU"
    objects = {f: f.stat().st_mtime_ns for f in home.rglob("ou_breakdown.parquet")}
    again = finops("demo", "--days", "3", cwd=demo, now=DEMO_NOW)
    assert again.exit_code == 0
    assert str(Path(".finops") / "dashboard.html") in again.stdout
    assert {f: f.stat().st_mtime_ns for f in home.rglob("ou_breakdown.parquet")} == objects


def test_run_without_a_date_is_yesterday(demo: Path) -> None:
    """`finops run` runs yesterday (UTC), to the last minute of the day."""
    done = finops("run", "--json", cwd=demo, now=datetime(2025, 9, 13, 23, 59, 59, tzinfo=UTC))
    assert [d["day"] for d in json.loads(done.stdout)["days"]] == ["2025-09-12"]


def test_the_demos_days_never_mix_with_your_own(demo: Path, own: Path, bill: SampleBill) -> None:
    """A home with the sample bill refuses another bill, and a home with your bill refuses the demo."""
    mine = finops("backfill", cwd=demo, FINOPS_BILL__PATH=str(bill.focus))
    assert mine.exit_code == 2
    assert "must not mix" in mine.stderr
    theirs = finops("demo", "--days", "3", cwd=own)
    assert theirs.exit_code == 2
    assert "FINOPS_HOME" in theirs.stderr


def test_the_demo_never_touches_settings_that_are_not_its_own(tmp_path: Path) -> None:
    """A home with somebody's finops.toml is refused and left as it is, wherever the settings are read from."""
    mine = tmp_path / "home" / "finops.toml"
    mine.parent.mkdir()
    mine.write_text("[bill]\ncurrency = 'EUR'\n")
    (tmp_path / "other.toml").write_text("")
    done = finops("demo", "--days", "3", cwd=tmp_path, FINOPS_HOME="home", FINOPS_SETTINGS="other.toml")
    assert done.exit_code == 2
    assert [f.name for f in mine.parent.iterdir()] == ["finops.toml"]
    assert mine.read_text() == "[bill]\ncurrency = 'EUR'\n"


def test_the_environment_wins_over_the_file(own: Path, tmp_path: Path) -> None:
    """FINOPS_<SECTION>__<KEY> overrides finops.toml."""
    (tmp_path / "finops.toml").write_text((own / "finops.toml").read_text())
    done = finops("run", "--date", "2025-09-01", "--json", cwd=tmp_path, FINOPS_BILL__COST_BASIS="effective")
    assert done.exit_code == 0, done.stderr
    assert json.loads(done.stdout)["days"][0]["cost_basis"] == "effective"

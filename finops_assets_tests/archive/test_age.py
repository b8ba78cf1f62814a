"""How old the data are: one sentence, whoever is asked, of a bill that ended long ago as of one that is a day late."""

from __future__ import annotations

import email
import email.policy
import io
import json
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from email.message import EmailMessage
from html import unescape
from pathlib import Path
from typing import Any

import dagster as dg
import pypdf
import pytest

from finops_assets.core.archive.age import Age, age_of, deadline_by, span_words
from finops_assets.core.archive.expected_days import missing_days
from finops_assets.core.operations.alerting import FRESHNESS
from finops_assets.core.operations.watch import Attempts, Watch
from finops_assets.core.reports.charts.daily_cost import daily_cost_spec
from finops_assets.defs.build import build_definitions
from finops_assets.defs.keys import CHECKS_JOB
from finops_assets.defs.keys import DAILY_JOB as JOB
from finops_assets.defs.private import ASSET_PARTITION_RANGE_END_TAG, ASSET_PARTITION_RANGE_START_TAG
from finops_assets.defs.run import run_days
from finops_assets.platform import Platform, build_platform
from finops_assets.settings.load import load_settings
from finops_assets.stories.sample_bill import write_sample_bill
from finops_assets_tests.support.ages import CASES, SENTENCE, days
from finops_assets_tests.support.bills import at, line, make_bill
from finops_assets_tests.support.command import finops
from finops_assets_tests.support.on_aws import make_ready, on_aws
from standin.server import StandIn

pytestmark = pytest.mark.usefixtures("records_in_memory")

SEVEN = deadline_by("0 7 * * *")
LAST = date(2024, 9, 30)
DAYS = [LAST - timedelta(days=n) for n in reversed(range(40))]
NOW = datetime(2026, 11, 30, 8, tzinfo=UTC)
"""26 months after the bill's last day."""


def moment(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


# --- the sentence -----------------------------------------------------------------------------------------------------


def asked(archived: set[date], now: str) -> Age:
    age = age_of(archived, first_day=date(2020, 1, 1), now=moment(now), deadline=SEVEN)
    assert age is not None
    return age


@pytest.mark.parametrize(("archived", "now", "sentence", "missing"), CASES.values(), ids=CASES)
def test_the_sentence(archived: set[date], now: str, sentence: str, missing: str) -> None:
    """Through which day, how old, since when the next day has been due, how many are missing; or nothing."""
    age = asked(archived, now)
    assert (age.sentence, age.missing_words) == (sentence, missing)
    assert age.short == (sentence[0].lower() + sentence[1:].partition(":")[0] if sentence else "")


def test_an_empty_archive_has_no_age() -> None:
    """Nothing is archived, or only days that are not over."""
    for archived in (set(), {date(2025, 9, 12)}):
        assert age_of(archived, first_day=date(2020, 1, 1), now=moment("2025-09-12T08:00"), deadline=SEVEN) is None
    assert missing_days((), (), date(2020, 1, 1), date(2025, 9, 11)) == []


def test_days_before_the_first_that_is_kept_are_not_missing() -> None:
    """`bill.first_day` is where expectation begins."""
    archived = days("2025-09-01", "2025-09-02") | days("2025-09-08", "2025-09-11")
    age = age_of(archived, first_day=date(2025, 9, 7), now=moment("2025-09-12T08:00"), deadline=SEVEN)
    assert age is not None
    assert age.missing == ()


@pytest.mark.parametrize(
    ("now", "late"),
    [
        ("2025-09-12T07:00", ""),
        ("2025-09-12T07:59", ""),
        ("2025-09-12T08:00", "1 h late"),
        ("2025-09-14T06:59", "47 h late"),
        ("2025-09-14T07:00", "2 days late"),
        ("2025-11-08T07:00", "57 days late"),
        ("2027-11-12T07:00", "26 months late"),
    ],
)
def test_lateness_counts_from_when_the_first_missing_day_was_due(now: str, late: str) -> None:
    """11 September was due on the 12th at 07:00: not each morning's own day counts, but the one that is waited for."""
    assert asked(days("2025-09-01", "2025-09-10"), now).late(moment(now)) == late


def test_a_deadline_is_the_schedules() -> None:
    """A schedule of weekdays has a Friday due on Monday."""
    weekdays = deadline_by("30 6 * * MON-FRI")
    assert weekdays(date(2025, 9, 11)) == moment("2025-09-12T06:30")
    assert weekdays(date(2025, 9, 12)) == moment("2025-09-15T06:30")
    age = age_of({date(2025, 9, 11)}, first_day=date(2025, 9, 1), now=moment("2025-09-15T06:00"), deadline=weekdays)
    assert age is not None
    assert not age.overdue


def test_whole_months_are_counted() -> None:
    """The last day of a month that the other month does not have is not reached."""
    assert span_words(date(2024, 9, 30), date(2026, 11, 29)) == "25 months"
    assert span_words(date(2024, 9, 30), date(2026, 11, 30)) == "26 months"
    assert span_words(date(2025, 12, 31), date(2026, 3, 1)) == "60 days"


# --- the outputs ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Home:
    """A home whose bill was archived in one run; and what that run, and the morning after it, have said."""

    folder: Path
    now: datetime
    metadata: Mapping[str, Mapping[str, Any]]
    checks: Mapping[str, Mapping[str, Any]]

    def says(self, *words: str) -> str:
        return finops(*words, cwd=self.folder, now=self.now, **settings_of(self.folder)).output

    def mails(self, last: date) -> list[EmailMessage]:
        files = sorted((self.folder / "home" / "outbox").glob(f"{last}*.eml"))
        return [email.message_from_bytes(file.read_bytes(), policy=email.policy.default) for file in files]


def settings_of(folder: Path) -> dict[str, str]:
    return {
        "FINOPS_HOME": str(folder / "home"),
        "FINOPS_BILL__PATH": str(folder / "bill"),
        "FINOPS_MAIL__EXECUTIVES": "cfo@example.com",
    }


def platform_of(folder: Path, now: datetime) -> Platform:
    return build_platform(load_settings(settings_of(folder), folder=folder), lambda: now)


def home_at(folder: Path, now: datetime) -> Home:
    """The bill's 40 days archived at a time in one run, then the look at all days, then the checks of the morning."""
    lines = [line("5.00", start=at(day)) for day in DAYS] + [line("3.00", start=at(LAST), service="S3")]
    file = make_bill(folder / "bill", lines)
    for each in file.rglob("*") if file.is_dir() else [file]:
        os.utime(each, (now.timestamp() - 3600,) * 2)
    definitions = build_definitions(platform_of(folder, now), clock=lambda: now)
    watch: Watch = definitions.resources["watch"]
    days_of_it = {ASSET_PARTITION_RANGE_START_TAG: str(DAYS[0]), ASSET_PARTITION_RANGE_END_TAG: str(LAST)}
    metadata: dict[str, dict[str, Any]] = {}
    with dg.DagsterInstance.ephemeral() as instance:
        run = definitions.resolve_job_def(JOB).execute_in_process(instance=instance, tags=days_of_it)
        for event in run.get_asset_materialization_events():
            if event.partition == str(LAST) or event.partition is None:
                made = event.step_materialization_data.materialization
                metadata[made.asset_key.to_user_string()] = {k: v.value for k, v in made.metadata.items()}
        watch.update_incidents(watch.inspect(now), Attempts(15), (), now)
        morning = definitions.resolve_job_def(CHECKS_JOB).execute_in_process(instance=instance, raise_on_error=False)
        checks = {
            evaluation.check_name: {name: value.value for name, value in evaluation.metadata.items()}
            for evaluation in morning.get_asset_check_evaluations()
        }
    return Home(folder, now, metadata, checks)


@pytest.fixture(scope="module")
def old(tmp_path_factory: pytest.TempPathFactory) -> Home:
    """What somebody has who downloads an export of 2024 and tries the product in 2026."""
    return home_at(tmp_path_factory.mktemp("old"), NOW)


@pytest.fixture(scope="module")
def current(tmp_path_factory: pytest.TempPathFactory) -> Home:
    """The same bill on the morning after its last day."""
    return home_at(tmp_path_factory.mktemp("current"), datetime(2024, 10, 1, 8, tzinfo=UTC))


def text_of(message: EmailMessage, kind: str = "plain") -> str:
    body = message.get_body((kind,))
    assert body is not None
    text = body.get_content()
    return text if kind == "plain" else unescape(re.sub(r"<(style|title).*?</\1>|<[^>]*>", " ", text, flags=re.DOTALL))


def digest(home: Home) -> EmailMessage:
    return next(mail for mail in home.mails(LAST) if mail["To"] == "cfo@example.com")


def late_digest(home: Home) -> EmailMessage:
    return home.mails(home.now.date() - timedelta(days=1))[0]


def pdf(home: Home) -> str:
    (page,) = (part for part in digest(home).iter_attachments() if part.get_content_type() == "application/pdf")
    return "".join(page.extract_text() for page in pypdf.PdfReader(io.BytesIO(page.get_content())).pages)


def dashboard(home: Home) -> str:
    page = (home.folder / "home" / "dashboard.html").read_text(encoding="utf-8")
    return unescape(re.sub(r"<(script|style|title).*?</\1>|<[^>]*>", " ", page, flags=re.DOTALL))


def alert(home: Home) -> str:
    messages = [file.read_bytes() for file in (home.folder / "home" / "alerts").glob("*.eml")]
    return "".join(text_of(email.message_from_bytes(each, policy=email.policy.default)) for each in messages)


FACES: dict[str, Callable[[Home], str]] = {
    "status": lambda home: home.says("status"),
    "status --json": lambda home: json.loads(home.says("status", "--json"))["age"],
    "gaps": lambda home: home.says("gaps"),
    "doctor": lambda home: home.says("doctor"),
    "doctor --json": lambda home: "".join(of["detail"] for of in json.loads(home.says("doctor", "--json"))),
    "digest, text": lambda home: text_of(digest(home)),
    "digest, HTML": lambda home: text_of(digest(home), "html"),
    "PDF": pdf,
    "dashboard without JavaScript": dashboard,
    "metadata of digest_email": lambda home: str(home.metadata["digest_email"].get("age")),
    "metadata of quicksight_dataset": lambda home: str(home.metadata["quicksight_dataset"].get("age")),
    **{f"check {name}": lambda home, name=name: str(home.checks[name].get("age")) for name in FRESHNESS},
}
"""What a person or a program reads, wherever the archive's state is told."""

OF_A_LATE_DAY: dict[str, Callable[[Home], str]] = {
    "late digest, text": lambda home: text_of(late_digest(home)),
    "late digest, HTML": lambda home: text_of(late_digest(home), "html"),
    "alert source_late": alert,
    "incident source_late": lambda home: json.loads(home.says("status", "--json"))["incidents"][0]["cause"],
}


@pytest.mark.parametrize("face", [*FACES, *OF_A_LATE_DAY])
def test_all_faces_say_the_same_sentence(old: Home, face: str) -> None:
    """The whole sentence, to the letter; and once."""
    said = " ".join((FACES | OF_A_LATE_DAY)[face](old).split())
    assert SENTENCE in said
    if face not in (
        "status",
        "PDF",
        "digest, HTML",
        "late digest, HTML",
    ):  # an open incident, a tag for readers, a preview
        assert said.count(SENTENCE) == 1


@pytest.mark.parametrize("face", FACES)
def test_nothing_is_said_of_current_data(current: Home, face: str) -> None:
    """Old, due and late are words of no face."""
    said = FACES[face](current)
    assert " old" not in said.replace("older", "")
    assert "has been due" not in said
    assert not current.mails(date(2024, 10, 1))


def test_subjects_say_how_old_the_data_are(old: Home, current: Home) -> None:
    """The digest of the newest day there is, and the one that goes out in place of yesterday's."""
    assert digest(old)["Subject"].strip() == (
        "[FinOps] 30 Sep 2024, 26 months old: 8.00 USD (+60.0 % vs Mon 23 Sep 2024)"
    )
    assert late_digest(old)["Subject"].strip() == (
        "[FinOps] 29 Nov 2026: no bill yet, 25 months late; data through 30 Sep 2024"
    )
    assert digest(current)["Subject"].strip() == "[FinOps] 30 Sep 2024: 8.00 USD (+60.0 % vs Mon 23 Sep), provisional"


def test_all_count_the_same_missing_days(old: Home, current: Home) -> None:
    """790 from 1 October 2024 to 29 November 2026, said as one stretch of one cause; none on the morning after."""
    of_both = [(old, 790), (current, 0)]
    for home, missing in of_both:
        status = json.loads(home.says("status", "--json"))
        gaps = json.loads(home.says("gaps", "--json"))
        assert status["days_missing"] == missing
        assert sum((date.fromisoformat(g["last"]) - date.fromisoformat(g["first"])).days + 1 for g in gaps) == missing
        assert home.metadata["digest_email"]["days missing"] == missing
        assert home.metadata["quicksight_dataset"]["days missing"] == missing
    (gap,) = json.loads(old.says("gaps", "--json"))
    assert (gap["first"], gap["last"], gap["cause"]) == ("2024-10-01", "2026-11-29", "source late")
    assert len(old.says("gaps").splitlines()) == 5, "a header, the stretch, how old, how many, every line"
    assert "790 not whole (source late: 2024-10-01 to 2026-11-29)" in " ".join(text_of(digest(old)).split())
    assert "790 days missing: 1 Oct 2024 to 29 Nov" in " ".join(dashboard(old).split())
    assert "No day missing" in " ".join(dashboard(current).split())


DAY_AND_MONTH = re.compile(r"(\d{1,2}) (Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)\b(?! \d{4})")
FIRST_OF_TWO = re.compile(r"\d{1,2} [A-Z][a-z]{2} to (?=\d{1,2} [A-Z][a-z]{2} \d{4})")


def without_year(text: str) -> list[str]:
    """The dates without a year, those of this year (November) and first ends of a stretch of one year left out."""
    text = FIRST_OF_TWO.sub("", " ".join(text.split()))
    return [found[0] for found in DAY_AND_MONTH.finditer(text) if found[2] != "Nov"]


WITH_DATES = ["digest, text", "digest, HTML", "PDF", "dashboard without JavaScript", "late digest, text"]


AXES = [f"{n} Sep" for n in (1, 5, 10, 15, 20, 25, 30, 2, 9, 16, 23, 30)]
"""Under the bars of the PDF's two charts, whose titles have the year."""


@pytest.mark.parametrize("face", WITH_DATES)
def test_a_date_of_another_year_has_its_year(old: Home, current: Home, face: str) -> None:
    """In labels, tables and sentences; on the morning after, in the same year, the labels are short."""
    read = (FACES | OF_A_LATE_DAY)[face]
    assert sorted(without_year(read(old))) == sorted(AXES if face == "PDF" else [])
    if face in FACES:
        assert "23 Sep" in without_year(read(current))


def test_charts_name_their_year(old: Home) -> None:
    """A picture is read without the words around it."""
    assert (
        "2024" in daily_cost_spec({LAST: {"Prod": Decimal(5)}}, LAST, currency="USD", basis="billed")["title"]["text"]
    )


def test_what_an_open_incident_says_is_of_today(old: Home) -> None:
    """It is told once; `status` does not repeat the age of the day on which that was."""
    tomorrow = NOW + timedelta(days=1)
    watch = platform_of(old.folder, tomorrow).with_clock(lambda: tomorrow).watch
    before = alert(old)
    watch.update_incidents(watch.inspect(tomorrow), Attempts(15), (), tomorrow)
    (incident,) = watch.incidents.open("source_late")
    assert "791 days are missing up to 30 Nov 2026" in incident.problem.cause
    assert alert(old) == before
    assert incident.opened == NOW


# --- on AWS -----------------------------------------------------------------------------------------------------------


def test_the_same_is_said_on_aws(aws: StandIn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Digest, late digest, alert and metadata; QuickSight's own page has the day in its table of OUs."""
    monkeypatch.delenv("DAGSTER_HOME", raising=False)
    sample = write_sample_bill(tmp_path / "bill", LAST, 3)
    make_ready(aws, sample.focus, accounts=sample.accounts)
    platform = build_platform(load_settings(on_aws(aws, tmp_path / "home"), folder=tmp_path), lambda: NOW)
    assert run_days(platform, LAST, LAST, clock=lambda: NOW).errors == ()
    age = platform.age(NOW)
    assert age is not None
    assert age.sentence == SENTENCE
    watch = platform.with_clock(lambda: NOW).watch
    watch.update_incidents(watch.inspect(NOW), Attempts(15), (), NOW)
    subjects = [str(mail.message["Subject"]).strip() for mail in aws.mail.sent]
    assert any(each.startswith("[FinOps] 30 Sep 2024, 26 months old: ") for each in subjects)
    assert "[FinOps] 29 Nov 2026: no bill yet, 25 months late; data through 30 Sep 2024" in subjects
    assert all(SENTENCE in " ".join(text_of(mail.message).split()) for mail in aws.mail.sent)
    assert [SENTENCE in incident.problem.cause for incident in watch.incidents.open("source_late")] == [True]

"""The scorecard and all that shows it: each OU's day, month, budget, forecast, light and anomaly, the same anywhere."""

from __future__ import annotations

import csv
import io
import json
import re
import shutil
from collections.abc import Iterator
from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal
from email.message import EmailMessage
from pathlib import Path

import dagster as dg
import pytest

from finops_assets.core.analytics import drivers, scorecard
from finops_assets.core.analytics.budgets import GREEN, RED
from finops_assets.core.analytics.episodes import LEDGER, read_ledger
from finops_assets.core.analytics.scoring import read as read_whole
from finops_assets.core.errors import ArchiveError
from finops_assets.core.money import money
from finops_assets.core.reports.snapshot import snapshot_path
from finops_assets.core.schemas import OU_SCORECARD, UNASSIGNED, scorecard_path
from finops_assets.defs.keys import NOT_DOUBLED, PLAN_IS_USED
from finops_assets.stories.simulation import Simulation

LAST = date(2025, 9, 17)
FIRST = LAST - timedelta(days=48)
BEFORE = LAST - timedelta(days=1)
CFO, TEAM, LEAD = "cfo@example.com", "team@example.com", "lead@example.com"
PLAN = "ou,month,amount,currency\nAll,default,88000,USD\nWorkloads/Prod,default,99000,USD\nSandbox,default,10,USD\n"


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with the days up to BEFORE, scored and mailed."""
    home = tmp_path_factory.mktemp("scorecard") / "home"
    sim = begin(home)
    sim.at(LAST, "02:00")
    sim.deliver(BEFORE)
    sim.launch("a backfill", [sim.request(FIRST, BEFORE)])
    assert [ran.error for ran in sim.ran] == [""]
    sim.close()
    return home


def begin(home: Path, *, drawn: bool = False, **overrides: object) -> Simulation:
    home.mkdir(parents=True, exist_ok=True)
    plan = home / "budgets.csv"
    if not plan.exists():
        plan.write_text(PLAN, encoding="utf-8")
    people = {"mail.recipients": TEAM, "mail.executives": CFO, "mail.by_ou": {"Workloads/Prod": [LEAD]}}
    settings = {"budgets.path": str(plan), "anomalies.events": str(home / "events.csv"), **people, **overrides}
    (home / "events.csv").touch() if (home / "events.csv").exists() else (home / "events.csv").write_text(
        "first,last,ou,service,what\n", encoding="utf-8"
    )
    draw = {} if drawn else {"draw": lambda _: b""}
    return Simulation(home, FIRST, LAST, settings, in_memory=True, **draw)


@pytest.fixture
def sim(prepared: Path, tmp_path: Path) -> Iterator[Simulation]:
    """The morning after LAST, in a copy of that home: its bill is there, and has not run yet."""
    home = tmp_path / "home"
    shutil.copytree(prepared, home)
    made = begin(home)
    made.at(LAST + timedelta(days=1), "05:00")
    made.deliver(LAST)
    yield made
    made.close()


@pytest.fixture(scope="module")
def scored(prepared: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Simulation]:
    """That morning after its run, for tests that only look."""
    home = tmp_path_factory.mktemp("scored") / "home"
    shutil.copytree(prepared, home)
    made = begin(home)
    made.at(LAST + timedelta(days=1), "05:00")
    made.deliver(LAST)
    run(made)
    yield made
    made.close()


def run(sim: Simulation, day: date = LAST, last: date | None = None) -> None:
    sim.launch("the morning", [replace_key(sim.request(day, last or day), len(sim.ran))])
    assert sim.ran[-1].error == ""


def replace_key(request: dg.RunRequest, number: int) -> dg.RunRequest:
    return request._replace(run_key=f"{request.run_key}-{number}") if hasattr(request, "_replace") else request


def checks(sim: Simulation) -> dict[str, bool]:
    """The newest run's checks."""
    (newest,) = sim.instance.get_runs(limit=1)
    kind = dg.DagsterEventType.ASSET_CHECK_EVALUATION
    events = (entry.dagster_event for entry in sim.instance.all_logs(newest.run_id, of_type=kind))
    return {e.asset_check_evaluation_data.check_name: e.asset_check_evaluation_data.passed for e in events}


def card_of(sim: Simulation, day: date = LAST) -> scorecard.Scorecard:
    card = read_whole(sim.platform.archive, sim.platform.archive.describe(day))
    assert card is not None
    return card


def alerts(sim: Simulation) -> list[EmailMessage]:
    """What was told of anomalies since the backfill, whose only message is the first."""
    found = [mail for mail in sim.alerts() if "nobody expected" in mail["Subject"] or "withdrawn" in mail["Subject"]]
    return found[1:]


def test_every_ou_of_a_day_is_a_row_and_the_direct_costs_sum_to_the_bill(scored: Simulation) -> None:
    """Parents and the whole are rows too; what OUs cost by themselves adds up to the day's total, exactly."""
    columns, rows = scored.platform.catalog.query(
        f"SELECT * FROM ou_scorecard WHERE year = {LAST.year} AND month = {LAST.month} AND day = {LAST.day}"
    )
    assert columns == [*OU_SCORECARD.names, "year", "month", "day"]
    found = {row[1]: dict(zip(columns, row, strict=True)) for row in rows}
    total = scored.platform.archive.describe(LAST).total
    assert sum(row["directcost"] for row in found.values()) == found["All"]["daycost"]
    assert abs(found["All"]["daycost"] - total) < Decimal("1e-9")
    below = [found[ou]["daycost"] for ou in found if ou.startswith("Workloads/")]
    assert found["Workloads"]["daycost"] == sum(below) + found["Workloads"]["directcost"]
    assert {row["currency"] for row in found.values()} == {"USD"}
    assert {row["costbasis"] for row in found.values()} == {"billed"}
    assert found.keys() >= {UNASSIGNED, "Sandbox", "Data/ML"}


def test_a_day_is_scored_as_of_itself(sim: Simulation) -> None:
    """A backfill and the morning of the day itself make the same scorecard: later days change nothing in it."""
    middle = LAST - timedelta(days=20)
    in_range = sim.platform.archive.get(scorecard_path(middle))
    sim.platform.archive.delete([scorecard_path(middle)])
    sim.platform.scoring.score([middle], sim.now)
    alone = scorecard.from_parquet(sim.platform.archive.get(scorecard_path(middle)), "")
    assert replace(alone, notes=()) == replace(scorecard.from_parquet(in_range, ""), notes=())


def test_a_damaged_ledger_holds_up_no_bill_and_the_newest_day_knows_what_earlier_days_cost_now(
    sim: Simulation,
) -> None:
    """Anomalies are still shown and told; the ledger is kept as a copy and made anew.

    A day that is restated alone renews the newest scorecard too: its month is the archive's.
    """
    archive = sim.platform.archive
    archive.put(LEDGER, b"{")
    run(sim)
    assert checks(sim)[PLAN_IS_USED] is True
    assert read_ledger(archive.get(LEDGER)).rises == LAST
    (copy,) = archive.list(f"damaged/{LEDGER.partition('/')[0]}/")
    assert archive.get(copy) == b"{"

    before = card_of(sim).whole.month_to_date
    sim.deliver(LAST, {BEFORE: 1.1})
    run(sim, BEFORE)
    month = [LAST.replace(day=n) for n in range(1, LAST.day + 1)]
    to_date = sum((sim.platform.archive.describe(day).total for day in month), Decimal())
    assert before < card_of(sim).whole.month_to_date
    assert abs(card_of(sim).whole.month_to_date - to_date) < Decimal("1e-6")
    assert card_of(sim).drivers, "why it moved is kept"


def test_lights_follow_the_plan(scored: Simulation) -> None:
    """Far under the budget is green, over it is red with the day on which it was passed, and a reason in words."""
    scores = card_of(scored).by_ou
    assert scores["Workloads/Prod"].light == GREEN
    assert scores["Sandbox"].light == RED
    assert scores["Sandbox"].passed.month == LAST.month
    assert scores["Sandbox"].reason.startswith(f"passed on {scores['Sandbox'].passed}: ")
    assert scores["Security"].light == "no budget"


NO_CURRENCY = "ou,month,amount\nAll,default,1\n"
NO_SUCH_OU = "ou,month,amount,currency\nWorkloads/Prud,default,1,USD\n"
NO_DAY = "first,last,ou,service,what\nsoon,later,All,,x\n"


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ({"budgets.csv": NO_CURRENCY}, ["No budgets are shown: "]),
        (
            {"budgets.csv": NO_SUCH_OU, "events.csv": NO_DAY},
            ["there is no OU Workloads/Prud", "Planned events are not known: "],
        ),
    ],
)
def test_a_plan_that_cannot_be_used_holds_up_no_bill(sim: Simulation, files: dict[str, str], said: list[str]) -> None:
    """The run succeeds without it; the check warns, and the digest says why nothing of it is shown."""
    for file, text in files.items():
        (sim.home / file).write_text(text, encoding="utf-8")
    run(sim)
    assert checks(sim)[PLAN_IS_USED] is False
    digest = " ".join(sim.mails()[-1].get_body(("plain",)).get_content().split())
    assert [each for each in said if each not in digest] == []
    assert card_of(sim).whole.cost


def test_the_check_up_looks_at_plan_calendar_and_editions(sim: Simulation) -> None:
    """Before anybody misses them: what cannot be used fails, OUs that there are not are warned of."""
    assert [(found.name, found.state) for found in sim.platform.scoring.check()] == [
        ("budgets", "ok"),
        ("events", "ok"),
    ]
    (sim.home / "budgets.csv").write_text("ou,month,amount,currency\nAll,default,1,EUR\n", encoding="utf-8")
    (sim.home / "events.csv").write_text(f"first,last,ou,service,what\n{LAST},{LAST},Nowhere,,x\n", encoding="utf-8")
    mail = sim.platform.settings.mail.model_copy(update={"by_ou": {"Workloads": (LEAD,), "Elsewhere": (LEAD,)}})
    settings = sim.platform.settings.model_copy(update={"mail": mail})
    found = list(replace(sim.platform, settings=settings).scoring.check())
    assert [(each.name, each.state) for each in found] == [
        ("budgets", "fail"),
        ("events", "warn"),
        ("events", "ok"),
        ("editions", "warn"),
    ]
    assert "the budgets are in EUR, the bill is in USD" in found[0].detail
    assert "there is no OU Nowhere" in found[1].detail
    assert "there is no OU Elsewhere" in found[3].detail


def test_an_anomaly_is_told_once_and_withdrawn_when_a_restatement_undoes_it(
    sim: Simulation, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A day that is half again as dear is told in one message; the corrected bill takes it back, with a word.

    Where the archive fails between finding and telling, the ledger does not say that it was told: the next run tells
    it. The same day once more writes the same objects, and tells nobody.
    """
    archive = sim.platform.archive
    sim.deliver(LAST, {LAST: 1.5})
    before = archive.get(LEDGER)
    with monkeypatch.context() as broken:

        def fail(*_: object) -> None:
            raise ArchiveError("cannot be written", where="incidents/")

        broken.setattr(sim.watch.incidents, "open_incidents", fail)
        run(sim)
    assert (alerts(sim), archive.get(LEDGER)) == ([], before)

    run(sim)
    ledger = read_ledger(archive.get(LEDGER))
    found = {told.episode.id for told in ledger.notifications if told.times and told.episode.first == LAST}
    assert found
    (alert,) = alerts(sim)
    assert all(name in alert.get_content() for name in found)

    stored = {path: archive.get(path) for path in (LEDGER, *archive.list("ou-scorecards/"))}
    run(sim)
    assert {path: archive.get(path) for path in stored} == stored
    assert len(alerts(sim)) == 1

    sim.at(LAST + timedelta(days=1), "11:00")
    sim.deliver(LAST)
    run(sim)
    after = {told.episode.id: told.episode for told in read_ledger(archive.get(LEDGER)).notifications}
    assert {after[gone].state for gone in found} == {"withdrawn"}
    assert [mail["Subject"][:43] for mail in alerts(sim)[1:]] == ["FinOps: all clear, an anomaly was withdrawn"]
    assert {episode.state for episode in card_of(sim).episodes if episode.id in found} == {"withdrawn"}


def test_a_planned_event_alerts_nobody(sim: Simulation) -> None:
    """What the calendar explains is shown as planned."""
    (sim.home / "events.csv").write_text(
        f"first,last,ou,service,what\n{LAST},{LAST},All,,a load test\n", encoding="utf-8"
    )
    sim.deliver(LAST, {LAST: 1.5})
    run(sim)
    states = {episode.state for episode in card_of(sim).episodes if episode.first == LAST}
    assert states == {"planned"}
    assert not any(str(LAST) in alert["Subject"] for alert in alerts(sim))
    told = read_ledger(sim.platform.archive.get(LEDGER)).notifications
    assert not [entry for entry in told if entry.times and entry.episode.first == LAST]


def test_a_day_twice_as_dear_all_over_is_a_check_and_no_anomaly(sim: Simulation) -> None:
    """An export with a file twice: the check names the day, and no OU is blamed for it."""
    sim.deliver(LAST, {LAST: 2.0})
    run(sim)
    assert checks(sim)[NOT_DOUBLED] is False
    assert not [episode for episode in card_of(sim).episodes if episode.first == LAST]


def test_what_moved_adds_up_to_the_change(scored: Simulation) -> None:
    """The effects of all drivers sum to the difference of the two days, to the last digit of the bill."""
    moved = card_of(scored).drivers
    assert moved.against == LAST - timedelta(days=7)
    archive = scored.platform.archive
    change = archive.describe(LAST).total - archive.describe(moved.against).total
    assert sum(drivers.summed(moved, "All").values()) == change
    assert drivers.summed(moved, "All").keys() & {"volume", "coverage"}


def test_a_scorecard_of_other_rows_is_none(scored: Simulation) -> None:
    """A day that changed after it was scored has no scorecard until it is scored again: no light of other numbers."""
    there = scored.platform.archive.describe(LAST)
    assert read_whole(scored.platform.archive, there)
    assert read_whole(scored.platform.archive, replace(there, fingerprint="another")) is None


def test_a_damaged_scorecard_says_so(sim: Simulation) -> None:
    with pytest.raises(ArchiveError, match=re.escape(scorecard_path(LAST))):
        scorecard.from_parquet(b"PAR1", scorecard_path(LAST))


def parts_of(mail: EmailMessage) -> dict[str, bytes]:
    return {part.get_filename(): part.get_payload(decode=True) for part in mail.walk() if part.get_filename()}


def test_mail_csv_pdf_dashboard_scorecard_and_archive_agree_to_the_cent(prepared: Path, tmp_path: Path) -> None:
    """One morning, drawn in full: total, month, budget and forecast are the same wherever somebody reads them."""
    import pypdf

    home = tmp_path / "home"
    shutil.copytree(prepared, home)
    sim = begin(home, drawn=True)
    sim.at(LAST + timedelta(days=1), "05:00")
    sim.deliver(LAST)
    run(sim)
    archive = sim.platform.archive
    total = archive.describe(LAST).total
    month = [LAST.replace(day=n) for n in range(1, LAST.day + 1)]
    to_date = sum((archive.describe(day).total for day in month), Decimal())
    whole = card_of(sim).whole
    assert abs(whole.month_to_date - to_date) < Decimal("1e-6")
    shown = [money(amount) for amount in (total, to_date, whole.budget, whole.p50)]

    mails = {mail["To"]: mail for mail in sim.mails() if mail["X-Finops-Day"] == str(LAST)}
    assert mails.keys() == {CFO, TEAM, LEAD}
    files = parts_of(mails[CFO])
    text = mails[TEAM].get_body(("plain",)).get_content()
    html = mails[TEAM].get_body(("html",)).get_content()
    pages = pypdf.PdfReader(io.BytesIO(files[Path(snapshot_path(LAST)).name])).pages
    pdf = " ".join(page.extract_text() for page in pages)
    for number in shown:
        assert number in text
        assert number in html
        assert number in pdf
    assert shown[0] in mails[TEAM]["Subject"]
    assert files["executive_snapshot_2025-09-17.pdf"] == archive.get(snapshot_path(LAST))
    assert not any(name.endswith(".pdf") for name in parts_of(mails[TEAM]))

    rows = list(csv.DictReader(io.StringIO(files[f"ou_breakdown_{LAST}.csv"].decode("utf-8-sig"))))
    assert abs(sum(Decimal(row["DailyCost"]) for row in rows) - total) < Decimal("1e-9")

    page = (home / "dashboard.html").read_text(encoding="utf-8")
    data = json.loads(re.search(r'<script type="application/json" id="data">(.*?)</script>', page, re.DOTALL)[1])
    at = data["days"].index(str(LAST))
    micros = sum(amounts[at] for amounts in data["amounts"]) + sum(rest[at] for rest in data["ou_rest"]) / 10**6
    assert money(Decimal(micros) / 10**6) == shown[0]
    for number in shown[1:]:
        assert number in page

    prod = [row for row in rows if row["OU"] == "Workloads/Prod"]
    mine = next(data for name, data in parts_of(mails[LEAD]).items() if name.endswith(".csv")).decode("utf-8-sig")
    assert list(csv.DictReader(io.StringIO(mine))) == prod
    subtotal = money(sum(Decimal(row["DailyCost"]) for row in prod))
    assert subtotal in mails[LEAD]["Subject"]
    assert money(card_of(sim).by_ou["Workloads/Prod"].cost) == subtotal
    assert shown[0] not in mails[LEAD].get_body(("plain",)).get_content(), "an OU's readers learn nothing of the whole"
    (ran,) = sim.instance.get_runs(limit=1)
    pictures = [
        entry.dagster_event.asset_key.to_user_string()
        for entry in sim.instance.all_logs(ran.run_id, of_type=dg.DagsterEventType.ASSET_MATERIALIZATION)
        if "data:image/png;base64," in str(entry.dagster_event.materialization.metadata)
    ]
    assert set(pictures) == {"ou_scorecard", "digest_email"}
    sim.close()

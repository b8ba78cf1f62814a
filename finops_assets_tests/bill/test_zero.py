"""Zero is a number: bills and days that cost nothing, or less, go through the whole chain and are shown as that."""

from __future__ import annotations

import io
from collections.abc import Iterator
from datetime import date, timedelta
from decimal import Decimal
from email.message import EmailMessage
from pathlib import Path

import dagster as dg
import pyarrow as pa
import pytest

from finops_assets.core.accounts.ous import ALL
from finops_assets.core.analytics.budgets import GREEN
from finops_assets.core.analytics.scoring import read as read_scorecard
from finops_assets.core.archive.breakdown import fingerprint
from finops_assets.core.reports.snapshot import snapshot_path
from finops_assets.core.schemas import MONEY, OU_BREAKDOWN
from finops_assets.core.values import DayRows
from finops_assets.stories.sample_bill import write_sample_bill
from finops_assets.stories.sample_bill.exports import write_export
from finops_assets.stories.simulation import Simulation, part_of, read_export
from finops_assets_tests.support.on_aws import make_ready, platform_on
from finops_assets_tests.support.on_aws import run as run_on_aws
from standin.server import StandIn

pytestmark = pytest.mark.usefixtures("records_in_memory")

LAST = date(2025, 9, 17)
FIRST = date(2025, 9, 1)
DAYS = [FIRST + timedelta(days=n) for n in range(17)]
TEAM, CFO, LEAD = "team@example.com", "cfo@example.com", "lead@example.com"


def begin(home: Path, *, drawn: bool = True) -> Simulation:
    home.mkdir(parents=True)
    (home / "budgets.csv").write_text("ou,month,amount,currency\nWorkloads/Prod,default,100,USD\n", encoding="utf-8")
    settings = {
        "budgets.path": str(home / "budgets.csv"),
        "mail.recipients": TEAM,
        "mail.executives": CFO,
        "mail.by_ou": {"Workloads/Prod": [LEAD]},
    }
    draw = {} if drawn else {"draw": lambda _: b""}
    sim = Simulation(home, FIRST, LAST, settings, in_memory=True, **draw)
    sim.at(LAST + timedelta(days=1), "05:00")
    return sim


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


@pytest.fixture
def free(home: Path) -> Iterator[Simulation]:
    """A bill of 17 days on which every line costs nothing, archived and mailed."""
    sim = begin(home)
    sim.deliver(LAST, dict.fromkeys(DAYS, 0.0))
    run(sim, FIRST, LAST)
    yield sim
    sim.close()


def run(sim: Simulation, first: date, last: date) -> None:
    sim.launch("a run", [sim.request(first, last)])
    assert sim.ran[-1].error == ""
    assert sim.ran[-1].success


def publish_empty(sim: Simulation, day: date) -> None:
    """Archive a day as one that the bill has emptied: no rows, and a total of 0."""
    rows = OU_BREAKDOWN.empty_table()
    costs = OU_BREAKDOWN.append(pa.field("cost", MONEY)).empty_table()
    facts = {
        "currency": "USD",
        "cost_basis": "billed",
        "source_lines": "0",
        "source_total": "0",
        "scheduled": "0",
        "by_category": "{}",
        "left_out": "[]",
    }
    sim.platform.archive.publish(DayRows(day, rows, Decimal(), Decimal(), fingerprint(costs)), facts)


def publish_the_rest(sim: Simulation, day: date) -> None:
    """What a run does with an archived day: registered, scored, shown, mailed."""
    selection = [dg.AssetKey(name) for name in ("athena_partition", "ou_scorecard", "executive_snapshot")]
    selection += [dg.AssetKey(name) for name in ("quicksight_dataset", "digest_email")]
    request = sim.request(day, day)._replace(asset_selection=selection)
    sim.launch("an archived day", [request])
    assert sim.ran[-1].error == ""


def mail_to(sim: Simulation, address: str) -> EmailMessage:
    return [mail for mail in sim.mails() if mail["To"] == address][-1]


def text_of(mail: EmailMessage) -> str:
    return " ".join(mail.get_body(("plain",)).get_content().split())


def pages_of(sim: Simulation, day: date) -> str:
    import pypdf

    pdf = pypdf.PdfReader(io.BytesIO(sim.platform.archive.get(snapshot_path(day))))
    assert len(pdf.pages) == 2
    return " ".join(" ".join(page.extract_text() for page in pdf.pages).split())


def test_a_bill_that_has_cost_nothing_yet_goes_through_the_whole_chain(free: Simulation) -> None:
    """Every line at 0: a scorecard of the whole and of each OU, a digest, a PDF and a dashboard, all with 0.00."""
    archive = free.platform.archive
    card = read_scorecard(archive, archive.describe(LAST))
    assert card.whole.ou == ALL
    assert (card.whole.cost, card.whole.month_to_date) == (0, 0)
    assert card.by_ou["Workloads/Prod"].light == GREEN
    assert "Security" in card.by_ou
    mail = mail_to(free, TEAM)
    assert mail["Subject"] == "[FinOps] 17 Sep 2025: 0.00 USD (0.0 % vs Wed 10 Sep), provisional"
    assert text_of(mail).count("0.00") > 10
    assert "0.00" in pages_of(free, LAST)
    page = free.platform.settings.dashboard_file.read_text(encoding="utf-8")
    assert '"value":"0.00"' in page
    _, rows = free.platform.catalog.query("SELECT ou, daycost, monthtodate FROM ou_scorecard WHERE ou = 'All'")
    assert [row[1:] for row in rows] == [(0, 0)] * 17
    assert free.alerts() == []


def test_the_first_days_without_cost_are_followed_by_one_with_cost(home: Path) -> None:
    """A day below 0 and then one at 0, after days with cost: neither is an error, and both are told exactly."""
    sim = begin(home, drawn=False)
    sim.deliver(LAST, {LAST: 0.0, DAYS[-2]: -1.0})
    run(sim, FIRST, LAST)
    archive = sim.platform.archive
    before = archive.describe(DAYS[-2]).total
    assert before < 0
    assert archive.describe(LAST).total == 0
    assert read_scorecard(archive, archive.describe(DAYS[-2])).whole.cost == before
    assert mail_to(sim, TEAM)["Subject"].startswith("[FinOps] 17 Sep 2025: 0.00 USD (-100.0 % vs Wed 10 Sep)")
    sim.close()


def test_an_archived_day_without_rows_is_a_day_at_nothing_wherever_it_is_shown(home: Path) -> None:
    """The newest day is emptied by the bill: it is registered, scored, drawn and mailed with 0.00, and is no hole."""
    sim = begin(home)
    sim.deliver(LAST)
    run(sim, FIRST, DAYS[-2])
    publish_empty(sim, LAST)
    publish_the_rest(sim, LAST)
    archive = sim.platform.archive
    card = read_scorecard(archive, archive.describe(LAST))
    month = sum((archive.describe(day).total for day in DAYS), Decimal())
    assert (card.whole.cost, card.whole.month_to_date.quantize(Decimal("1e-6"))) == (0, month.quantize(Decimal("1e-6")))
    mail = mail_to(sim, TEAM)
    assert mail["Subject"].startswith("[FinOps] 17 Sep 2025: 0.00 USD (-100.0 % vs Wed 10 Sep)")
    assert "No data" not in text_of(mail)
    assert mail_to(sim, LEAD)["Subject"].startswith("[FinOps] 17 Sep 2025, Workloads/Prod only: 0.00 USD (-100.0 %")
    assert "There is no data for" not in pages_of(sim, LAST)
    assert "1 day missing" not in sim.platform.settings.dashboard_file.read_text(encoding="utf-8")
    sim.close()


def test_a_day_without_rows_between_others_is_compared_with_and_drawn(home: Path) -> None:
    """The day after an empty one is compared with 0.00, not with a missing day."""
    sim = begin(home, drawn=False)
    sim.deliver(LAST)
    run(sim, FIRST, DAYS[-3])
    publish_empty(sim, DAYS[-2])
    publish_the_rest(sim, DAYS[-2])
    run(sim, LAST, LAST)
    said = text_of(mail_to(sim, TEAM))
    assert "no data" not in said.lower()
    assert "Tue 16 Sep, day before" in said
    sim.close()


def test_a_bill_of_empty_days_alone_is_shown(home: Path) -> None:
    """Nothing is archived but days without rows: the whole is there, with 0.00, and no OU."""
    sim = begin(home)
    sim.deliver(LAST)
    run(sim, LAST - timedelta(days=1), LAST)
    for day in (LAST - timedelta(days=1), LAST):
        sim.platform.archive.delete([sim.platform.archive.describe(day).path])
        publish_empty(sim, day)
    publish_the_rest(sim, LAST)
    card = read_scorecard(sim.platform.archive, sim.platform.archive.describe(LAST))
    assert [score.ou for score in card.scores] == [ALL, "Workloads", "Workloads/Prod"]
    assert card.whole.cost == 0
    sim.close()


def test_a_bill_that_has_cost_nothing_yet_goes_through_on_aws(aws: StandIn, tmp_path: Path) -> None:
    """The same on Athena, S3, Glue, QuickSight and SES: archived, read back, scored and mailed with 0.00."""
    sample = write_sample_bill(tmp_path / "sample", LAST, 3)
    lines = part_of(read_export(sample.focus), LAST, dict.fromkeys(DAYS, 0.0))
    write_export(tmp_path / "bill", "focus", "FOCUS_1_2_AWS", lines, "BillingPeriodStart")
    make_ready(aws, tmp_path / "bill" / "focus", accounts=sample.accounts)
    platform = platform_on(aws, tmp_path / "home")
    assert run_on_aws(platform, DAYS[-2], LAST).errors == ()
    card = read_scorecard(platform.archive, platform.archive.describe(LAST))
    assert (card.whole.ou, card.whole.cost, len(card.scores) > 10) == (ALL, 0, True)
    assert {str(mail.message["Subject"]) for mail in aws.mail.sent} == {
        "[FinOps] 17 Sep 2025: 0.00 USD (0.0 % vs Tue 16 Sep), provisional"
    }

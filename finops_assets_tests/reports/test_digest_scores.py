"""The scorecard in the digest: what matters stands first, parts add up, and an edition is of one OU alone."""

from __future__ import annotations

import csv
import dataclasses
import email
import io
import re
import shutil
from base64 import b64encode
from collections.abc import Iterator
from datetime import UTC, date, datetime
from decimal import Decimal
from email.policy import default

import pytest

from finops_assets.core.analytics.anomalies import Episode
from finops_assets.core.analytics.drivers import Driver, Drivers
from finops_assets.core.analytics.forecast import MonthPart
from finops_assets.core.analytics.kept_parts import KeptParts, kept_parts
from finops_assets.core.analytics.moved_parts import Part
from finops_assets.core.analytics.scheduled import Booked
from finops_assets.core.analytics.scorecard import Score, Scorecard
from finops_assets.core.archive.restatements import Restatement
from finops_assets.core.reports.charts.images import to_png
from finops_assets.core.reports.digest import (
    Covered,
    DayFacts,
    DigestFigures,
    DigestInputs,
    Envelope,
    Late,
    OwnCost,
    chart_spec,
    digest_figures,
    front_page,
    headline,
    message,
    month_chart_spec,
    render,
    subject,
    subtotals,
)
from finops_assets.core.reports.digest.matters import matters
from finops_assets.core.reports.digest.pictures import PICTURES
from finops_assets.core.text import columns_wide
from finops_assets.core.values import PublishedDay
from finops_assets_tests.reports.test_digest import ALPHA, BETA, DAY, HOSTILE, PNG, WED, WEEK, Row, Texts, flat, table

PROD, NONPROD = "Workloads/Prod", "Workloads/NonProd"
ROWS = [
    *flat("60.10", WED, ou=PROD),
    *flat("50", WED - WEEK, WED - DAY, ou=PROD),
    *flat("30.03", WED, ou=NONPROD, account=BETA),
    *flat("40", WED - WEEK, WED - DAY, ou=NONPROD, account=BETA),
    *flat("9.87", WED, WED - WEEK, WED - DAY, ou="Data"),
]
TOTAL = Decimal("100.00")


def score(ou: str, cost: str, light: str = "green", **more: object) -> Score:
    given = {
        "direct": Decimal(cost),
        "low": None,
        "high": None,
        "month_to_date": Decimal("300"),
        "budget": None if light == "no budget" else Decimal("1000"),
        "p10": Decimal("850"),
        "p50": Decimal("900"),
        "p90": Decimal("950"),
        "share": 0.9,
        "reason": f"90 % of 1,000.00 USD expected, {light}",
        "passed": None,
        "anomaly": None,
        "settlement": "provisional",
    }
    return Score(ou=ou, cost=Decimal(cost), light=light, **given | more)


RED = {
    "light": "red",
    "budget": Decimal("800"),
    "share": 1.125,
    "passed": date(2025, 9, 26),
    "reason": "112 % of 800.00 USD expected, to be passed on 2025-09-26",
}


def card(scores: dict[str, Score] | None = None, **more: object) -> Scorecard:
    """A scorecard that fits ROWS, with some OUs changed."""
    usual = (
        score("All", "100"),
        score("Data", "9.87", "no budget"),
        score("Workloads", "90.13", direct=Decimal()),
        score(NONPROD, "30.03", "amber"),
        score(PROD, "60.10"),
    )
    changed = scores or {}
    given = {"day": WED, "currency": "USD", "cost_basis": "billed", "error": 0.064} | more
    return Scorecard(scores=tuple(changed.get(one.ou, one) for one in usual), **given)


def episode(ou: str = PROD, state: str = "open", impact: str = "12.10", **more: object) -> Episode:
    given = {
        "id": "A-3f9c21",
        "service": "EC2",
        "account": "",
        "kind": "rise",
        "first": WED,
        "last": WED,
        "expected": Decimal("48"),
        "actual": Decimal("48") + Decimal(impact),
        "score": 7.0,
        "reason": "60.10 USD where 48.00 was expected",
    }
    return Episode(ou=ou, state=state, **given | more)


def figures(rows: list[Row] = ROWS, **more: object) -> DigestFigures:
    totals: dict[date, Decimal] = {}
    for day, *_, cost in rows:
        totals[day] = totals.get(day, Decimal()) + Decimal(cost)
    given = {
        "days": {day: DayFacts(total) for day, total in totals.items()},
        "names": {ALPHA: "alpha"},
        "currency": "USD",
        "cost_basis": "billed",
        "card": card(),
    }
    own = {name: more.pop(name) for name in ("ou", "restated") if name in more}
    return digest_figures(DigestInputs(table(rows), WED, **given | more), **own)


def words(html: str) -> str:
    """What a page shows, in one line: cells and lines apart, a name in one piece."""
    body = re.sub(
        r"<style>.*?</style>|<title>.*?</title>|<div style=\"display:none.*?</div>", "", html, flags=re.DOTALL
    )
    body = re.sub(r'<span class="muted label".*?</span>', "", body)
    text = Texts(re.sub(r"<(?!/?(wbr|bdi|b|span)\b)", " <", body)).text
    return " ".join(text.replace("\xa0", " ").split())


def both(made: DigestFigures, month: bytes = b"") -> tuple[str, str]:
    """What readers of the text and of the page see, in one line each."""
    digest = render(made, {"chart": PNG, "month": month})
    return " ".join(digest.text.split()), words(digest.html)


# --- the subject and the sentence at the top


@pytest.mark.parametrize(
    ("light", "shown"), [("green", ", ● green"), ("amber", ", ◊ amber"), ("red", ", ■ red"), ("no budget", "")]
)
def test_the_subject_has_the_light_where_there_is_a_budget(light: str, shown: str) -> None:
    """Total, change, light of the whole as shape and word, settlement."""
    made = figures(card=card({"All": score("All", "100", light)}))
    assert subject(made) == f"[FinOps] 10 Sep 2025: 100.00 USD (+0.1 % vs Wed 3 Sep){shown}, provisional"


def test_a_budget_that_will_be_passed_comes_first() -> None:
    """Before a new anomaly, and before what moved; with the day, the amount and the share."""
    made = figures(card=card({"All": score("All", "100", **RED)}, episodes=(episode(),)), news=[episode()])
    said = (
        "September's budget of 800.00 USD is expected to be passed on Fri 26 Sep: 900.00 USD expected by the month's "
    )
    assert matters(made) == said + "end (112 % of it)."
    for shown in both(made):
        assert shown.count(matters(made)) == 1
        assert headline(made) in shown  # what moved is still said, where the movers are


def test_a_budget_that_is_passed_is_told_as_passed() -> None:
    passed = {**RED, "passed": date(2025, 9, 8), "month_to_date": Decimal("810")}
    assert matters(figures(card=card({"All": score("All", "100", **passed)}))) == (
        "September's budget of 800.00 USD was passed on Mon 8 Sep: 810.00 USD so far, 900.00 USD expected by the "
        "month's end (112 % of it)."
    )


def test_a_new_or_growing_anomaly_comes_next() -> None:
    """The largest by impact; those that ended or were withdrawn, or that began long ago, are no reason to act."""
    old = episode(impact="500", first=WED - WEEK, id="A-3")
    lasting = (
        episode(),
        episode(state="growing", impact="-33", id="A-2"),
        episode(state="withdrawn", impact="99"),
        old,
    )
    red = {PROD: score(PROD, "60.10", **RED)}
    assert matters(figures(card=card(red, episodes=lasting))) == (
        "A growing anomaly: EC2 in Workloads/Prod costs more than expected, 15.00 USD instead of 48.00 on 10 Sep "
        "(-33.00 USD); 1 more has begun or grown (+12.10 USD)."
    )
    assert "Workloads/Prod is red" in matters(figures(card=card(red, episodes=lasting[2:])))


def test_a_red_ou_comes_after_that_with_its_cause() -> None:
    """It does not depend on what was mailed before: mail, PDF and dashboard say the same."""
    dear = score("Data", "9.87", **{**RED, "p50": Decimal("2000")})
    red = card({PROD: score(PROD, "60.10", **RED), "Data": dear}, episodes=(episode(first=WED - WEEK),))
    said = "Data is red: its budget of 800.00 USD is expected to be passed on Fri 26 Sep"
    for before in (None, {"Data": "red", PROD: "green"}):
        front = front_page(figures(card=red, lights_before=before))
        assert front.headline.startswith(said)
        assert front.headline.endswith("; 1 more OU is red, too.")
        assert [(row.ou, row.amount) for row in front.red] == [("Data", "+1,200.00"), (PROD, "+100.00")]
    alone = front_page(figures(card=dataclasses.replace(red, scores=red.scores[:1] + red.scores[2:])))
    assert alone.because == "because EC2 in Workloads/Prod costs more than expected (+12.10)"
    turned = card({PROD: score(PROD, "60.10", **RED)})
    assert "red, was green" in both(figures(card=turned, lights_before={PROD: "green"}))[0]


def test_else_what_moved_is_what_matters() -> None:
    made = figures()
    assert matters(made) == headline(made) != ""
    assert both(made)[0].count(headline(made)) == 1


# --- the table


def test_each_ou_has_its_light_budget_and_forecast() -> None:
    """Worst first; lights are words and shapes; no amount is lost."""
    digest = render(figures(card=card({PROD: score(PROD, "60.10", **RED)})))
    lines = [re.split(r"\s{2,}", line) for line in digest.text.splitlines()]
    assert ["All", "● green", "100.00", "+0.1 %", "300.00"] in lines
    assert ["All", "900.00", "850–950", "1,000.00", "90 %"] in lines
    assert ["Data", "○ no budget", "9.87", "0.0 %", "300.00"] in lines
    assert ["Workloads/Prod", "■ red", "60.10", "+20.2 %", "300.00"] in lines
    assert ["Workloads/Prod", "900.00", "850–950", "800.00", "112 %"] in lines
    shown = [line[0] for line in lines if len(line) == 5 and line[1][:1] in "●◊■○"]
    assert shown == ["All", PROD, NONPROD, "Workloads", "Data"]
    page = words(digest.html)
    assert "Prod ■ red: passes its budget on Fri 26 Sep" in page
    assert "NonProd ◊ amber" in page
    assert "Prod: red: 112 % of 800.00 USD expected, to be passed on 2025-09-26" in " ".join(digest.text.split())


def test_without_budgets_or_forecasts_there_are_no_empty_columns() -> None:
    """Too little history says so instead of a forecast."""
    none = {"p10": None, "p50": None, "p90": None, "share": None}
    bare = {ou: score(ou, cost, "no budget", **none) for ou, cost in (("All", "100"), (PROD, "60.10"))}
    few = "9 days of history, 28 are needed"
    given = dataclasses.replace(card(), scores=tuple(bare.values()), why_no_forecast=few, error=None)
    made = figures(card=given)
    text, page = both(made)
    for shown in (text, page):
        assert f"nothing is forecast: {few}" in shown.replace("Forecast ", "Forecast: ")
        assert "80 % range" not in shown
        assert "Budget" not in shown
    assert month_chart_spec(made) is None


def test_the_forecast_says_how_it_is_made_and_how_wrong_it_was() -> None:
    for shown in both(figures()):
        assert "its usual level times its weekday's factor" in shown
        assert "it was 6.4 % off (median, whole organization)" in shown


def large(ous: int = 200) -> DigestFigures:
    """So many OUs with names as long as they get, 40 anomalies, as many movers and accounts as are shown."""
    names = [
        f"Division {n // 20} of the organization/Team {n:03} with a rather long name" + "<&>" * 8 for n in range(ous)
    ]
    service = "Amazon Elastic Compute Cloud & <other> services with names " + "x" * 40
    rows = [r for ou in names for r in flat("2", WED, WED - DAY, ou=ou, service=service, account=f"{ALPHA}-{ou}")]
    rows += [r for n, ou in enumerate(names) for r in flat(f"{n / 40 + 1:.2f}", WED - WEEK, ou=ou, service=service)]
    rows += [r for n in range(30) for r in flat("1", WED, ou="Unassigned", account=f"{n:012}")]
    total = sum((Decimal(row[4]) for row in rows if row[0] == WED), Decimal())
    lights = ("red", "amber", "green", "no budget")
    scores = [score(ou, "2", lights[n % 4], reason="r" * 200) for n, ou in enumerate(names)]
    episodes = tuple(
        episode(ou, impact=f"{n + 1}", id=f"A-{n:06}", reason="why " * 70) for n, ou in enumerate(names[:40])
    )
    drivers = tuple(
        Driver(r[1], r[2], r[3], Decimal(), Decimal(2), {"new_account": Decimal(2)}) for r in rows if r[0] == WED
    )
    whole = Scorecard(
        WED,
        "USD",
        "billed",
        (score("All", str(total), **RED), *scores),
        episodes,
        Drivers.of(WED, WED - WEEK, "USD", "billed", drivers),
    )
    return figures(rows, card=whole, news=episodes, notes=["n" * 600] * 2)


def test_a_large_organizations_mail_is_not_clipped() -> None:
    """200 OUs and 40 anomalies stay below the 102 KB at which Gmail cuts; what is not shown is counted."""
    made = large()
    digest = render(made, {"chart": PNG, "month": PNG})
    assert len(digest.html.encode()) < 102_000
    for shown in (" ".join(digest.text.split()), words(digest.html)):
        assert "190 more OUs (40 red, 50 amber, 50 green, 50 no budget) are not shown here" in shown
        assert "and 34 more, +595.00 USD together" in shown
        assert "and 37 more, +703.00 together" in shown  # at the top, of those that are open
    read = list(csv.DictReader(io.StringIO(digest.csv.decode("utf-8-sig"))))
    assert len(read) == 230
    assert sum(Decimal(row["DailyCost"]) for row in read) == made.total


@pytest.mark.browser
@pytest.mark.parametrize("ous", [9, 40, 200])
def test_a_mail_is_no_longer_than_it_is_read_whatever_the_organization(ous: int, browser, tmp_path) -> None:
    """At most 2,500 px at 680 px and 100 KB, the unit once; lines of plain text under 78 characters."""
    made = large(ous)
    digest = render(made, {name: to_png(spec) for name, spec in pictures_of(made).items()})
    assert len(digest.html.encode()) <= 100_000
    assert words(digest.html).count("USD, billed") == 1
    assert [line for line in digest.text.splitlines() if columns_wide(line) >= 78] == []
    html = digest.html
    for name, png in digest.pictures.items():
        html = re.sub(rf'cid:[^"]*{name}[^"]*', f"data:image/png;base64,{b64encode(png).decode()}", html)
    file = tmp_path / "digest.html"
    file.write_text(html, encoding="utf-8")
    page = browser.new_page(viewport={"width": 680, "height": 800})
    page.goto(file.as_uri())
    height = page.evaluate("document.documentElement.scrollHeight")
    drawn = page.evaluate("[...document.images].map(each => each.naturalWidth > 0)")
    page.close()
    assert drawn == [True, True]
    assert height <= 2500


def pictures_of(made: DigestFigures) -> dict[str, dict]:
    specs = {name: picture.spec(made) for name, picture in PICTURES.items()}
    return {name: spec for name, spec in specs.items() if spec}


# --- why it moved, and anomalies


def drivers(*given: Driver, against: date = WED - WEEK) -> Drivers:
    return Drivers.of(WED, against, "USD", "billed", given)


def moved(prod: dict[str, Decimal]) -> Drivers:
    return drivers(
        Driver(PROD, "EC2", ALPHA, Decimal(50), Decimal("60.10"), prod),
        Driver(NONPROD, "EC2", BETA, Decimal(40), Decimal("30.03"), {"volume": Decimal("-9.97")}),
    )


def test_movers_have_reasons_that_add_up() -> None:
    """Each mover's reasons sum to its change, the reasons of all sum to the change of the day."""
    given = moved({"volume": Decimal("12.604"), "price": Decimal("-2.504")})
    for shown in both(figures(card=card(drivers=given))):
        assert "volume +12.60, unit price -2.50" in shown
        assert "volume +2.63 unit price -2.50 together +0.13" in shown.lower()


def kept(*given: Part) -> KeptParts:
    day, before = (PublishedDay(d, "", "", 0, Decimal(), "USD", "billed", str(d), 0) for d in (WED, WED - WEEK))
    return kept_parts(day, before, given)


def test_movers_and_anomalies_have_their_cause() -> None:
    """In a clause beside the reason, harmless whatever a resource is called; not where it is of another change."""
    effects = {"volume": Decimal("10.10")}
    where = "use", "BoxUsage:m5", "eu-west-1", "<b>i-1</b>"
    part = Part(PROD, "EC2", ALPHA, *where, Decimal(50), Decimal("60.10"), 5.0, 6.0, effects)
    made = card(parts=kept(part), drivers=moved(effects), episodes=(episode(),), causes={"A-3f9c21": "a thing, +1.00"})
    text, page = both(figures(card=made))
    for shown in (text, page.replace("&lt;", "<").replace("&gt;", ">")):
        assert "cause: one resource of <b>i-1</b>, BoxUsage:m5, eu-west-1, +10.10" in shown
        assert "where 48.00 was expected Cause: a thing, +1.00." in shown
    other = dataclasses.replace(part, now=Decimal("60.90"), effects={"volume": Decimal("10.90")})
    for shown in both(figures(card=card(parts=kept(other)))):
        assert "cause:" not in shown


@pytest.mark.parametrize("wrong", ["other days", "other amounts"])
def test_reasons_that_are_not_of_this_change_are_not_told(wrong: str) -> None:
    """A decomposition against another day, or one that does not add up, explains nothing here."""
    if wrong == "other days":
        given = dataclasses.replace(moved({"volume": Decimal("10.10")}), against=WED - DAY)
    else:
        given = moved({"volume": Decimal("7")})
    for shown in both(figures(card=card(drivers=given))):
        assert "ogether" not in shown
        assert "volume +10.10" not in shown
        assert "volume +7.00" not in shown


def test_anomalies_are_told_with_state_impact_reason_and_id() -> None:
    """What is news first, what lasts after it; withdrawn and ended ones too, once."""
    ended = episode("Data", "closed", "-5", id="A-ended")
    undone = episode("Data", "withdrawn", "7", id="A-undone")
    lasting = episode(NONPROD, "open", "3", id="A-lasting", first=WED - DAY)
    planned = episode(NONPROD, "planned", "4", id="A-planned", planned="load test")
    old = episode(NONPROD, "closed", "4", id="A-old")
    made = figures(card=card(episodes=(episode(), lasting, planned, old)), news=[ended, undone, episode()])
    text, page = (each[each.index("New") - 20 :] for each in both(made))
    assert "+12.10 New: EC2 in Workloads/Prod, 10 Sep (A-3f9c21) 60.10 USD where 48.00 was expected" in text
    for shown in (text, page):
        order = [shown.index(name) for name in ("A-3f9c21", "A-undone", "A-ended", "A-lasting", "A-planned")]
        assert order == sorted(order)
        assert "A restatement undid it. 60.10 USD" in shown
        assert "load test. 60.10 USD" in shown
        assert "A-old" not in shown
    for shown in both(figures()):
        assert "No anomaly is open." in shown


def test_the_platforms_own_cost_is_told() -> None:
    """Parts of a cent are not rounded to nothing; it is in USD, with how it is estimated."""
    own = OwnCost(WED, (("Athena, 1.2 GB scanned", Decimal("0.006")), ("3 mails", Decimal("0.0003"))), "list prices")
    for shown in both(figures(own_cost=own)):
        assert "0.0063 USD on Wed 10 Sep: Athena, 1.2 GB scanned: 0.0060; 3 mails: 0.0003 (list prices)" in shown


@pytest.mark.parametrize(
    ("other", "why"),
    [
        ({"day": WED - DAY}, "the scorecard is of 2025-09-09"),
        ({"currency": "EUR"}, "the scorecard is in EUR (billed)"),
        ({"scores": (score("All", "99.99"),)}, "the scorecard was made of an earlier state of the day"),
    ],
)
def test_a_scorecard_of_other_figures_is_left_out(other: dict, why: str) -> None:
    """Numbers that do not agree are not put beside each other; the mail goes out, and says so."""
    made = figures(card=dataclasses.replace(card(), **other), news=[episode()])
    assert (made.card, made.news) == (None, ())
    for shown in both(made):
        assert f"Budgets, lights and anomalies are left out: {why}" in shown


# --- charts


def test_the_month_has_a_chart_and_its_numbers_without_images() -> None:
    """Two images by their content ids; the alternative texts hold the numbers."""
    made = figures(card=card({"All": score("All", "100", **RED)}))
    assert to_png(month_chart_spec(made)).startswith(b"\x89PNG")
    digest = render(made, {"chart": PNG, "month": PNG + b"2"})
    at = datetime(2025, 9, 11, 7, tzinfo=UTC)
    mail = message(digest, Envelope("a@example.com", "b@example.com", "<1@x>", at))
    mail = email.message_from_bytes(mail.as_bytes(), policy=default)
    html = mail.get_body(("html",)).get_content()
    images = [part for part in mail.walk() if part.get_content_type() == "image/png"]
    assert [(image.get_filename(), image.get_content()) for image in images] == [
        ("chart.png", PNG),
        ("month.png", PNG + b"2"),
    ]
    assert all(f'src="cid:{image["Content-ID"].strip("<>")}"' in html for image in images)
    assert (
        'alt="Chart: September against budget and forecast. To Wed 10 Sep: 300.00 USD of a budget of 800.00. Expected '
        "by the month&#39;s end: 900.00 (850–950). ■ red: 112 % of 800.00 USD expected, to be passed on 2025-09-26."
        in html
    )


def test_no_image_is_shown_that_is_not_sent() -> None:
    digest = render(figures(card=None), {"chart": PNG, "month": PNG})
    assert (digest.html.count("<img"), sorted(digest.pictures)) == (1, ["chart"])
    assert render(figures()).html.count("<img") == 0


# --- editions


def test_an_edition_is_one_ous_alone_and_exact() -> None:
    """Its rows, its subtotal, its lights, movers and anomalies; of the others no name and no amount."""
    given = card(episodes=(episode(), episode("Data", id="A-data")), drivers=moved({"volume": Decimal("10.10")}))
    made = figures(card=given, ou="Workloads", news=[episode(), episode("Data", id="A-data")])
    assert made.total == Decimal("90.13")
    digest = render(made, {"chart": PNG, "month": PNG})
    assert (digest.ou, digest.total) == ("Workloads", Decimal("90.13"))
    assert digest.csv_name == "ou_breakdown_2025-09-10_Workloads.csv"
    read = list(csv.DictReader(io.StringIO(digest.csv.decode("utf-8-sig"))))
    assert {row["OU"] for row in read} == {PROD, NONPROD}
    assert sum(Decimal(row["DailyCost"]) for row in read) == digest.total
    assert digest.subject == (
        "[FinOps] 10 Sep 2025, Workloads only: 90.13 USD (+0.1 % vs Wed 3 Sep), ● green, provisional"
    )
    for shown in (" ".join(digest.text.split()), words(digest.html)):
        assert "Workloads only" in shown
        assert "A-3f9c21" in shown
        assert "A-data" not in shown
        assert "100.00" not in shown.replace("100.0 %", "")
        assert not re.search(r"\bData\b(?! through)", shown)
        assert "volume +10.10" in shown
        assert "volume +0.13 together +0.13" in shown.lower()


def test_editions_of_all_ous_sum_to_the_whole() -> None:
    """To the last decimal, whatever is nested; an OU whose name only begins alike is another."""
    rows = [*ROWS, *flat("0.000000000003", WED, ou="Workloads"), *flat("5", WED, ou="Workloads2")]
    parts = [figures(rows, card=None, ou=ou).total for ou in ("Workloads", "Data", "Workloads2")]
    assert sum(parts) == figures(rows, card=None).total
    assert subtotals(table(rows), "Workloads", [WED])[WED] == parts[0] == Decimal("90.130000000003")


def test_an_edition_claims_nothing_that_is_known_of_whole_days_only() -> None:
    """Scheduled charges, what settings leave out, a covered stretch: no amount of the whole, and what is open."""
    scheduled = DayFacts(TOTAL, Decimal("77.77"), "closed", {"Tax": Decimal("77.77")}, ("tax: 55.55 USD left out",))
    made = figures(
        days={WED: scheduled, WED - WEEK: DayFacts(Decimal("99.87"), Decimal("44.44"))},
        ou=PROD,
        covered=Covered(date(2025, 9, 1), date(2025, 9, 9), 9, Decimal("66.66")),
        own_cost=OwnCost(WED, (("Athena", Decimal("33.33")),)),
    )
    for shown in both(made):
        for amount in ("77.77", "55.55", "44.44", "66.66", "33.33", "usage alone"):
            assert amount not in shown
        assert (
            "The scheduled charges of a day (tax, fees, credits, refunds) are shown for the whole bill only." in shown
        )
        assert "how much of that is this OU's is not known" in shown
        assert "closed: AWS no longer changes it" in shown
        assert "This mail also covers 9 earlier days, 1–9 Sep 2025. No other mail" in shown
        assert "Unassigned" not in shown
    assert not any("Scheduled" in str(layer) for layer in chart_spec(made)["layer"])


PARTS = (
    MonthPart("usage", Decimal("240.5"), Decimal(560)),
    MonthPart("support", Decimal(60), Decimal()),
    MonthPart("fee", Decimal(), Decimal(40), "on day 17, as in the months before"),
    MonthPart("refund", Decimal("-0.5"), Decimal(), "a refund is not expected again"),
)


def test_the_parts_of_a_months_forecast_are_shown_and_sum_to_it() -> None:
    """Each with what is so far and what is expected, and why; in the mail's text and on its page."""
    for shown in both(figures(card=card({"All": score("All", "100", parts=PARTS)}))):
        assert "usage 240.50 so far and 560.00 expected" in shown
        assert "support 60.00 so far" in shown
        assert "purchases and fees 0.00 so far and 40.00 expected (on day 17, as in the months before)" in shown
        assert "refunds -0.50 so far (a refund is not expected again)" in shown
        assert "and the scheduled charges that come again" in shown


def test_a_bill_that_does_not_tell_usage_says_what_is_done_instead() -> None:
    why = "the bill does not tell usage from fees and tax: what is booked on the first is taken for them"
    for shown in both(figures(card=card(why_whole=why))):
        assert why in shown
        assert "so far and" not in shown


def test_a_refund_is_told_as_one_and_to_nobody_elses_edition() -> None:
    """At most five are named, the largest first."""
    booked = [Booked("Data", "EC2", "refund", Decimal("-1239.4")), Booked(PROD, HOSTILE[0], "credit", Decimal(-20))]
    booked += [Booked("Data", "S3", "refund", Decimal(-11 + n)) for n in range(5)]
    whole, edition = (figures(card=card(booked=tuple(booked)), ou=ou) for ou in ("", PROD))
    for shown in both(whole):
        assert "A refund of 1,239.40 USD for EC2 in Data: it is no change of usage." in shown
        assert "2 more refunds and credits are booked on the day, -15.00 USD together." in shown
    for shown in both(edition):
        assert "1,239.40" not in shown
        assert f"in {PROD}: it is no change of usage" in shown


def test_an_edition_tells_the_changes_it_is_given() -> None:
    for shown in both(figures(ou=PROD, restated=[Restatement(WED - DAY, Decimal(49), Decimal(50))])):
        assert re.search(r"Tue 9 Sep 49\.00 (->|→) 50\.00", shown)


def test_an_ou_without_rows_has_an_edition_that_says_so() -> None:
    """A misspelt path or an idle OU holds up nobody: zeros, and what to check."""
    made = figures(ou="Workloads/Prd")
    assert (made.total, made.card, made.rows.num_rows) == (0, None, 0)
    assert to_png(chart_spec(made)).startswith(b"\x89PNG")
    assert subject(made).startswith("[FinOps] 10 Sep 2025, Workloads/Prd only: 0.00 USD")
    for shown in both(made):
        assert "No account of these days is in Workloads/Prd or below it" in shown
    idle = figures([*ROWS, *flat("5", WED - DAY, ou="Idle")], ou="Idle", card=None)
    assert (idle.total, idle.day_before.total, idle.month.total) == (0, 5, 5)


def test_a_late_edition_says_both() -> None:
    made = figures(ou=PROD, late=Late(WED + DAY, "9 h late"))
    assert subject(made) == (
        "[FinOps] 11 Sep 2025, Workloads/Prod only: no bill yet, 9 h late; data through 10 Sep 2025"
    )


# --- hostile names


@pytest.mark.parametrize("ou", ["", *HOSTILE])
def test_hostile_names_are_text_everywhere(ou: str) -> None:
    """In scores, anomalies, reasons, own cost and editions: no tag, no line, no formula, no header."""
    rows = [r for name in HOSTILE for r in flat("10", WED, WED - WEEK, ou=name, service=name, account=name)]
    bad = HOSTILE[0] + HOSTILE[2]
    scores = (score("All", "60", reason=bad), *(score(name, "10", "red", reason=name) for name in HOSTILE))
    episodes = tuple(episode(n, service=n, account=n, reason=n, id=n, planned=n, kind=n) for n in HOSTILE)
    made = figures(
        rows,
        card=Scorecard(WED, "USD", "billed", scores, episodes, why_no_forecast=bad),
        news=episodes,
        own_cost=OwnCost(WED, ((bad, Decimal(1)),), bad),
        ou=ou,
    )
    digest = render(made, {"chart": PNG, "month": PNG})
    assert to_png(month_chart_spec(made)).startswith(b"\x89PNG")
    page = Texts(digest.html)
    assert not {"script", "a"} & set(page.tags)
    assert "\u202e" not in digest.html + digest.text + digest.subject
    assert not any(line.startswith("Bcc:") for line in digest.subject.splitlines())
    assert not re.search("[\x00-\x09\x0b-\x1f]", digest.text + digest.subject)
    read = list(csv.reader(io.StringIO(digest.csv.decode("utf-8-sig"), newline="")))
    assert not any(cell.startswith(("=", "+", "-", "@", "\t", "\r")) for row in read[1:] for cell in row[:4])
    assert re.fullmatch(r"ou_breakdown_2025-09-10(_[A-Za-z0-9-]+)?\.csv", digest.csv_name)
    at = datetime(2025, 9, 11, 7, tzinfo=UTC)
    mail = message(digest, Envelope("a@example.com", "b@example.com", "<1@x>", at))
    assert email.message_from_bytes(mail.as_bytes(), policy=default)["Bcc"] is None


# --- the PDF


@pytest.mark.parametrize(
    ("limit", "files", "said"),
    [
        (10**9, ["ou_breakdown_2025-09-10.csv", "executive_snapshot_2025-09-10.pdf"], []),
        (0, [], ["CSV is too large", "PDF is too large", "at p/executive_snapshot.pdf"]),
    ],
)
def test_the_pdf_counts_in_the_size_of_the_message(limit: int, files: list[str], said: list[str]) -> None:
    """Attached while it fits, linked beside the CSV else; both said in text and page."""
    digest, pdf = render(figures(), {"chart": PNG}), b"%PDF" + bytes(range(256)) * 300
    from finops_assets.core.reports.digest import Link

    until = datetime(2025, 9, 18, 7, tzinfo=UTC)

    def mail(most: float) -> email.message.EmailMessage:
        made = message(
            digest,
            Envelope("a@example.com", "b@example.com", "<1@x>", until),
            max_bytes=most,
            link=lambda: Link("https://s3.example/csv", "p/x.csv", until),
            pdf=pdf,
            pdf_link=lambda: Link("https://s3.example/pdf", "p/executive_snapshot.pdf", until),
        )
        return email.message_from_bytes(made.as_bytes(), policy=default)

    sent = mail(limit)
    assert [part.get_filename() for part in sent.iter_attachments()] == files
    shown = [sent.get_body(("plain",)).get_content(), words(sent.get_body(("html",)).get_content())]
    assert all(each in " ".join(part.split()) for part in shown for each in said)
    if files:
        assert list(sent.iter_attachments())[1].get_content() == pdf
        assert [part.get_filename() for part in mail(len(sent.as_bytes()) - 50_000).iter_attachments()] == []


# --- in a browser

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
SEEN = """() => {
    const parse = colour => colour.match(/[\\d.]+/g).map(Number);
    const light = colour => parse(colour).slice(0, 3).map(c => c / 255)
        .map(c => c <= 0.03928 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4)
        .reduce((sum, c, n) => sum + c * [0.2126, 0.7152, 0.0722][n], 0);
    const behind = element => {
        for (let at = element; at; at = at.parentElement) {
            const colour = getComputedStyle(at).backgroundColor;
            if (parse(colour)[3] !== 0) return colour;
        }
    };
    const pale = [];
    for (const element of document.querySelectorAll("body *")) {
        const text = [...element.childNodes].some(node => node.nodeType === 3 && node.data.trim());
        if (!text || !element.getClientRects().length) continue;
        const pair = [light(getComputedStyle(element).color), light(behind(element))].sort((a, b) => b - a);
        if ((pair[0] + 0.05) / (pair[1] + 0.05) < 4.5) pale.push(element.textContent.trim().slice(0, 60));
    }
    return {width: document.documentElement.scrollWidth, pale, text: document.body.innerText};
}"""


@pytest.mark.parametrize("width", [390, 700])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_is_readable_on_a_phone_and_in_the_dark_without_images(width: int, scheme: str, browser, tmp_path) -> None:
    """Nothing scrolls sideways, whatever the names; every text stands out from its ground (4.5 : 1); no image loads."""
    file = tmp_path / "digest.html"
    digest = render(large(), {"chart": PNG, "month": PNG})
    file.write_text(digest.html, encoding="utf-8")
    page = browser.new_page(viewport={"width": width, "height": 800}, color_scheme=scheme)
    page.goto(file.as_uri())
    seen = page.evaluate(SEEN)
    page.close()
    assert seen["width"] <= width
    assert seen["pale"] == []
    for shown in ("passes its budget on Fri 26 Sep", "▲ +100.0 %", "850–950", "190 more OUs"):
        assert shown in seen["text"].replace("\xa0", " ")
    assert ("Month to date 300.00" in seen["text"]) == (width == 390)  # each number has its label beside it


@pytest.fixture(scope="module")
def browser() -> Iterator:
    playwright = pytest.importorskip("playwright.sync_api", reason="needs the playwright package")
    if CHROMIUM is None:
        pytest.skip("needs Chromium on the path")
    with playwright.sync_playwright() as running:
        chromium = running.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        yield chromium
        chromium.close()

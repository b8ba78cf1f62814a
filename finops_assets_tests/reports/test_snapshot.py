"""The executive snapshot: two pages whatever the day, with exact figures; no name is more than text."""

from __future__ import annotations

import dataclasses
import hashlib
import io
import json
import subprocess
import sys
import unicodedata
from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from decimal import Decimal
from functools import cache

import pyarrow as pa
import pypdf
import pytest

from finops_assets.core.accounts.ous import ALL
from finops_assets.core.analytics.anomalies import Episode
from finops_assets.core.analytics.budgets import Budgets, month_lines, rolled_up
from finops_assets.core.analytics.drivers import Driver, Drivers
from finops_assets.core.analytics.scorecard import Score, Scorecard
from finops_assets.core.archive.restatements import Restatement
from finops_assets.core.money import change, money
from finops_assets.core.reports import typesetting
from finops_assets.core.reports.charts import images
from finops_assets.core.reports.digest import DayFacts, DigestFigures, DigestInputs, Late, digest_figures
from finops_assets.core.reports.snapshot import snapshot_data, snapshot_specs
from finops_assets.core.reports.snapshot.ou_table import OUS_SHOWN
from finops_assets.core.reports.typesetting import to_pdf
from finops_assets.core.schemas import MONEY, UNASSIGNED

DAY = date(2025, 9, 17)
WEEK, ONE = timedelta(7), timedelta(1)
HISTORY = 150
ALPHA = "111111111111"
PRICE = Decimal("23.13")
HOSTILE = (
    "#panic(1)",
    "*not bold*",
    "$sum_(i=0)^n$",
    "@ref <label>",
    "// comment /* and */",
    "`raw` \\ ~ -- \"quoted\" 'so'",
    "#sys.inputs.data",
    "<text>&amp;</svg>",
    "שלום/עולם",
    "مرحبا",
    "two\nlines\tand\x00nul",
    "\u202egnp.exe\u202c",
    "rocket \U0001f680 and 部門",
    "unassigned \u0378, private \ue123, no character \uffff",
)

Costs = Mapping[str, Mapping[date, Decimal]]


def history(scale: str = "100.07", days: int = HISTORY) -> dict[date, Decimal]:
    """A cost that knows its weekday and is never round."""
    found = {}
    for n in range(days):
        day = DAY - timedelta(n)
        found[day] = Decimal(scale) * (6 if day.weekday() < 5 else 4) / 6 + Decimal(n % 5) / 100
    return {day: cost.quantize(Decimal("0.000001")) for day, cost in found.items()}


def figures_of(costs: Costs, *, service: str = "Amazon EC2", account: str = ALPHA, **more) -> DigestFigures:
    days = sorted({day for of in costs.values() for day in of})
    rows = [(day, ou, service, account, cost) for ou, of in costs.items() for day, cost in of.items()]
    columns = list(zip(*rows, strict=True))
    texts = {name: pa.array(columns[n], pa.string()) for n, name in ((1, "ou"), (2, "service"), (3, "linkedaccount"))}
    table = pa.table({"billingdate": pa.array(columns[0], pa.date32()), **texts, "cost": pa.array(columns[4], MONEY)})
    totals = {day: sum((of.get(day, Decimal()) for of in costs.values()), Decimal()) for day in days}
    given = {"days": {day: DayFacts(total) for day, total in totals.items()}, "names": {}, "currency": "USD"}
    own = {name: more.pop(name) for name in ("ou", "restated") if name in more}
    return digest_figures(DigestInputs(table, DAY, **{**given, "cost_basis": "billed", **more}), **own)


def card_of(costs: Costs, budgets: Mapping[str, str] | None = None, **more) -> Scorecard:
    """The scorecard that costs and budgets (of every month) give."""
    rolled = rolled_up(costs)
    plan = Budgets({(ou, "default"): Decimal(amount) for ou, amount in (budgets or {}).items()}, "USD")
    lines = month_lines(plan, rolled, DAY, currency="USD")
    scores = []
    for line in lines:
        cost, f = rolled[line.ou].get(DAY, Decimal()), line.forecast
        direct = costs.get(line.ou, {}).get(DAY, Decimal())
        told = (line.budget, f.low, f.expected, f.high, line.share, line.light, line.reason, line.passed)
        scores.append(
            Score(line.ou, cost, direct, cost - 5, cost + 5, f.month_to_date, *told, anomaly=None, settlement="stable")
        )
    whole = lines[0].forecast
    given = {"error": whole.error, "why_no_forecast": whole.why_not}
    return Scorecard(DAY, "USD", "billed", tuple(scores), **(given | more))


def episode(n: int = 0, **more) -> Episode:
    given = {
        "id": f"A-{n:06x}",
        "ou": "Engineering/Payments",
        "service": "Amazon EC2",
        "account": ALPHA,
        "kind": "rise",
        "state": "open",
        "first": DAY - ONE,
        "last": DAY,
        "expected": Decimal("210.10"),
        "actual": Decimal("633.23") + n,
        "score": 7.5,
        "reason": "Costs 423.13 USD more than its weekdays usually do.",
    }
    return Episode(**(given | more))


def pdf_of(figures: DigestFigures, card: Scorecard | None, **more) -> bytes:
    return to_pdf(snapshot_data(figures, card, **more), drawn(figures, card))


def drawn(figures: DigestFigures, card: Scorecard | None) -> dict[str, str]:
    return {name: images.to_svg(spec) for name, spec in snapshot_specs(figures, card).items()}


def pages(pdf: bytes) -> list[str]:
    """What each page says, as one line."""
    return [" ".join(page.extract_text().split()) for page in pypdf.PdfReader(io.BytesIO(pdf)).pages]


@cache
def usual() -> tuple[DigestFigures, Scorecard]:
    """Four OUs on two levels, one over its budget, with all that a day can tell."""
    payments = history("200.11")
    payments[DAY] += Decimal("423.13")
    costs = {"Engineering/Payments": payments, "Engineering/Web": history(), "Sales": history("12.34")}
    costs |= {UNASSIGNED: history("3.21", 20)}
    moves = [Restatement(DAY - n * ONE, Decimal("300.25"), Decimal("307.75") + n) for n in range(1, 9)]
    figures = figures_of(costs, names={ALPHA: "payments-prod"}, restated=moves)
    mover = figures.movers_up[0]
    effects = {"volume": mover.delta - PRICE, "price": PRICE}
    driver = Driver(mover.ou, mover.service, mover.account, mover.before, mover.now, effects)
    drivers = Drivers.of(DAY, DAY - WEEK, "USD", "billed", (driver,))
    budgets = {"Engineering/Payments": "4000", "Engineering/Web": "9000", "Sales": "320"}
    return figures, card_of(costs, budgets, episodes=tuple(episode(n) for n in range(8)), drivers=drivers)


@pytest.fixture(scope="module")
def told() -> list[str]:
    return pages(pdf_of(*usual()))


def test_the_first_page_tells_where_the_money_stands(told: list[str]) -> None:
    """The exact total, month, budget, forecast and band of the whole; each OU's too; lights as words."""
    figures, card = usual()
    first, whole = told[0], card.whole
    assert len(told) == 2
    assert "Wed 17 Sep 2025" in first
    assert "billed cost in USD" in first
    for amount in (figures.total, whole.month_to_date, whole.p50, whole.p10, whole.p90):
        assert money(amount) in first
    assert f"{money(whole.p10)} to {money(whole.p90)}" in first
    for ou, budget in (("Engineering/Payments", "4,000.00"), ("Engineering/Web", "9,000.00"), ("Sales", "320.00")):
        score = card.by_ou[ou]
        amounts = f"{money(score.cost)} {money(score.month_to_date)} {budget} {money(score.p50)}"
        assert f"{ou} {score.light} {amounts}" in first
    assert card.by_ou["Engineering/Payments"].light == "red"
    assert "1 of 2" in first
    assert "2 of 2" in told[1]


def test_the_second_page_tells_why_and_adds_up(told: list[str]) -> None:
    """Movers with reasons and all others add up to the change; what is not shown is counted."""
    figures, card = usual()
    second = told[1]
    mover, before, now = figures.movers_up[0], figures.against.total, figures.total
    assert f"payments-prod ({ALPHA}) in Engineering/Payments" in second
    assert f"volume {change(mover.delta - PRICE)}, unit price +23.13" in second
    rows = snapshot_data(figures, card)["movers"]["rows"]
    assert rows[-1]["service"] == "Everything else"
    for column, whole in (("before", before), ("now", now), ("delta", now - before)):
        shown = sum(Decimal(row[column].replace(",", "").lstrip("<>")) for row in rows)
        assert abs(shown - whole) <= Decimal("0.01") * len(rows)
    assert f"All OUs {money(before)} {money(now)}" in second
    assert "A-000000" in second
    assert "Costs 423.13 USD more than its weekdays usually do." in second
    assert "3 more" in second
    assert "300.25" in second
    assert "3 more days" in second
    assert money(sum((cost for *_, cost in figures.unassigned), Decimal())) in second
    assert "median error" in second
    assert "provisional: AWS may still change it" in second


def fonts(pdf: bytes) -> set[str]:
    """The names of all fonts; each must be in the file, with a table from its glyphs to text."""
    reader, found = pypdf.PdfReader(io.BytesIO(pdf)), set()
    for n in range(1, int(reader.trailer["/Size"])):
        thing = pypdf.generic.IndirectObject(n, 0, reader).get_object()
        if isinstance(thing, dict) and thing.get("/Type") == "/Font":
            if thing["/Subtype"] == "/Type0":
                assert "/ToUnicode" in thing
            else:
                assert thing["/FontDescriptor"].keys() & {"/FontFile", "/FontFile2", "/FontFile3"}
                found.add(thing["/BaseFont"].split("+")[-1])
    return found


def test_all_letters_are_in_the_file_and_of_the_shipped_font() -> None:
    """Those of the charts too, which name the fonts of a browser."""
    assert {name.split("-")[0] for name in fonts(pdf_of(*usual()))} == {"Inter"}


def test_the_same_data_is_the_same_bytes_in_another_process() -> None:
    """And the file says nothing of when it was made but its day."""
    figures, card = usual()
    data, svgs = snapshot_data(figures, card), drawn(figures, card)
    program = (
        "import hashlib, json, sys\n"
        "from finops_assets.core.reports.typesetting import to_pdf\n"
        "assert 'typst' not in sys.modules\n"
        "data, svgs = json.load(sys.stdin)\n"
        "print(hashlib.sha256(to_pdf(data, svgs)).hexdigest())"
    )
    run = subprocess.run(
        [sys.executable, "-c", program], input=json.dumps([data, svgs]), capture_output=True, text=True, check=True
    )
    pdf = to_pdf(data, svgs)
    assert run.stdout.strip() == hashlib.sha256(pdf).hexdigest()
    assert pypdf.PdfReader(io.BytesIO(pdf)).metadata.creation_date.date() == DAY


def test_it_is_tagged_and_says_what_its_charts_show() -> None:
    """It passes the checks of PDF/A-2a and PDF/UA-1: a title, a language, headings, words for charts."""
    reader = pypdf.PdfReader(io.BytesIO(pdf_of(*usual())))
    xmp = reader.trailer["/Root"]["/Metadata"].get_data().decode()
    assert "pdfaid:part" in xmp
    assert "pdfuaid:part" in xmp
    assert "executive snapshot" in reader.metadata.title
    assert reader.trailer["/Root"]["/Lang"] == "en"


def test_one_ou_without_budget_or_history_fits() -> None:
    """What cannot be said is said to be so, in words, and is not guessed."""
    costs = {"Only": history(days=9)}
    first, second = pages(pdf_of(figures_of(costs), card_of(costs)))
    assert "no budgets are configured" in first
    assert "9 days of history, 28 are needed" in first
    assert "No anomaly in the last weeks." in second
    assert "Every account belongs to an OU." in second
    assert "No day that was mailed has changed." in second


def test_a_day_without_a_scorecard_has_its_two_pages_too() -> None:
    costs = {"Only": history(), "Other": history("7.77")}
    figures = figures_of(costs)
    first, second = pages(pdf_of(figures, None))
    assert money(figures.total) in first
    assert "there is no scorecard of the day" in first
    assert "There is no scorecard of the day: none was looked for." in second


def test_a_scorecard_of_another_day_or_money_is_not_shown() -> None:
    figures, card = usual()
    for other in ({"day": DAY - ONE}, {"currency": "EUR"}, {"cost_basis": "net_amortized"}):
        assert snapshot_data(figures, dataclasses.replace(card, **other)) == snapshot_data(figures, None)


def test_the_first_day_of_an_archive_is_compared_with_nothing() -> None:
    costs = {"Only": {DAY: Decimal("10.01")}}
    first, second = pages(pdf_of(figures_of(costs), card_of(costs)))
    assert "10.01" in first
    assert "There is no day to compare with." in second


def test_of_200_ous_the_worst_are_shown_and_the_rest_adds_up() -> None:
    """On two levels: what is in a shown OU is not counted again among those that are not shown."""
    costs = {f"Group {n % 20:02}/Team {n:03}": history(f"{10 + n}.01", 60) for n in range(200)}
    budgets = {f"Group 07/Team {n:03}": "1" for n in (27, 47)} | {"Group 03": "1"}
    figures, card = figures_of(costs), card_of(costs, budgets)
    data = snapshot_data(figures, card)
    rows = data["ous"]["rows"]
    assert len(rows) == OUS_SHOWN
    assert {row["name"] for row in rows[:3]} == {"Group 03", "Group 07/Team 027", "Group 07/Team 047"}
    assert all(row["cells"][0] == "no budget" for row in rows[3:])
    shown = [card.by_ou[row["name"]] for row in rows]
    top = [s for s in shown if not any(s.ou.startswith(f"{other.ou}/") for other in shown)]
    rest = card.whole.cost - sum(s.cost for s in top)
    month = card.whole.month_to_date - sum(s.month_to_date for s in top)
    words = f"206 more OUs (206 no budget): {money(rest)} of the day and {money(month)} of the month to date"
    first, _ = pages(pdf_of(figures, card))
    assert words in first
    assert money(figures.total) in first


def extracted(pdf: bytes) -> str:
    """All text with spaces and the ends of lines left out: a name may be broken over two of them."""
    return unicodedata.normalize("NFKC", "".join("".join(pages(pdf)).split()))


@pytest.mark.parametrize("names", [HOSTILE[:7], HOSTILE[7:]])
def test_hostile_ous_are_text_in_tables_and_charts(names: Sequence[str]) -> None:
    """Each with a budget and an anomaly; what has no letters in any font leaves the others whole."""
    costs = {f"{name}{n}": history(f"{90 - n}.01", 40) for n, name in enumerate(names)}
    card = card_of(costs, dict.fromkeys(costs, "40"), episodes=tuple(episode(ou=name) for name in names))
    pdf = pdf_of(figures_of(costs), card)
    text = extracted(pdf)
    assert len(pages(pdf)) == 2
    for n, name in enumerate(names):
        if name.isascii():
            row = f"{name}{n}red{money(card.by_ou[f'{name}{n}'].cost)}"
            assert "".join(row.replace("\x00", "").split()) in text


@pytest.mark.parametrize("name", [*HOSTILE, "W" * 300, "many words " * 40])
def test_a_hostile_service_account_or_note_is_text(name: str) -> None:
    """Names too long for their column are cut, sentences are broken; the pages stay two."""
    costs = {"Engineering": history(days=40)}
    figures = figures_of(costs, service=name, names={ALPHA: name}, notes=[name], links={name: name})
    found = episode(ou="Engineering", service=name, reason=name, planned=name, id=name)
    card = card_of(costs, {"Engineering": "4000"}, episodes=(found,), notes=(name,), why_no_forecast=name)
    pdf = to_pdf(snapshot_data(figures, card, names={ALPHA: name}), {})
    assert len(pages(pdf)) == 2
    if name in HOSTILE and name.isascii() and name.isprintable():
        assert extracted(pdf).count("".join(name.split())) >= 6


def test_letters_of_all_shipped_scripts_keep_the_standards() -> None:
    """Greek, Cyrillic, Hebrew and Arabic come from fonts that are shipped, whatever the machine has."""
    name = "Ünïcødé Ωμέγα Жизнь שלום مرحبا ≥ € №"
    costs = {name: history(days=40)}
    figures, card = figures_of(costs), card_of(costs)
    reader = pypdf.PdfReader(io.BytesIO(pdf_of(figures, card)))
    assert b"pdfuaid:part" in reader.trailer["/Root"]["/Metadata"].get_data()
    assert not typesetting._OTHER_SCRIPTS.search(name)


def test_the_fullest_day_is_two_pages() -> None:
    """Everything that has a bound is at it, with the longest of names and sentences."""
    long = "Quite a long name of an organizational unit that nobody has shortened in years " * 4
    costs = {f"{long}/{n:03}": history(f"{10 + n}.01", 40) for n in range(30)} | {
        UNASSIGNED: history("999999999.99", 40)
    }
    moves = [Restatement(DAY - n * ONE, Decimal("-123456789.25"), Decimal("987654321.75")) for n in range(1, 30)]
    late = Late(DAY + ONE, "31 h late")
    figures = figures_of(costs, service=long, restated=moves, notes=[long] * 9, names={ALPHA: long}, late=late)
    episodes = tuple(episode(n, ou=long, service=long, reason=long, planned=long) for n in range(30))
    card = card_of(costs, {ALL: "1"}, episodes=episodes, notes=(long,))
    told = pages(pdf_of(figures, card, revision=12))
    assert len(told) == 2
    assert money(figures.total) in told[0]
    assert f"{money(card.whole.p10)} to {money(card.whole.p90)}" in told[0]
    assert "/029" in told[0]
    assert "25 more" in told[1]
    assert "24 more days" in told[1]

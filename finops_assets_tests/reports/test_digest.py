"""The digest: its figures are exact, its words do not lie, and no name in the bill is more than text in it."""

from __future__ import annotations

import csv
import dataclasses
import email
import gzip
import io
import random
import re
import shutil
import subprocess
import sys
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from email.policy import SMTP, default
from html.parser import HTMLParser
from pathlib import Path

import pyarrow as pa
import pytest

from finops_assets.core.addresses import mail_address
from finops_assets.core.errors import ArchiveError, SettingsError
from finops_assets.core.money import plain
from finops_assets.core.reports.charts import daily_cost
from finops_assets.core.reports.charts.images import to_png
from finops_assets.core.reports.digest import (
    CSV_NOTE,
    Covered,
    DayFacts,
    Digest,
    DigestFigures,
    DigestInputs,
    Envelope,
    Link,
    breakdown_csv,
    chart_spec,
    columns,
    digest_figures,
    headline,
    message,
    render,
    scheduled_lines,
    subject,
)
from finops_assets.core.schemas import MONEY
from finops_assets.core.text import tidy

WED = date(2025, 9, 10)
WEEK, DAY = timedelta(7), timedelta(1)
ALPHA, BETA, LOST = "111111111111", "222222222222", "333333333333"
PNG = b"\x89PNG not really"
HOSTILE = (
    "<script>alert(1)</script>",
    '=HYPERLINK("http://evil.example","click")',
    'Söhne "& Co"\r\nBcc: thief@example.com',
    "\u202egnp.exe\u202c",
    "שלום/עולם",
    "tab\tand\x00nul",
)

Row = tuple[date, str, str, str, str]


def table(rows: list[Row]) -> pa.Table:
    columns = list(zip(*rows, strict=True)) if rows else [[]] * 5
    costs = [Decimal(cost) for cost in columns[4]]
    return pa.table(
        {
            "billingdate": pa.array(columns[0], pa.date32()),
            "ou": pa.array(columns[1], pa.string()),
            "service": pa.array(columns[2], pa.string()),
            "linkedaccount": pa.array(columns[3], pa.string()),
            "dailycost": pa.array([float(cost) for cost in costs], pa.float64()),
            "cost": pa.array(costs, MONEY),
        }
    )


def figures_of(rows: list[Row], day: date = WED, **more) -> DigestFigures:
    """Figures with facts that fit the rows, unless facts are given."""
    totals: dict[date, Decimal] = {}
    for d, *_, cost in rows:
        totals[d] = totals.get(d, Decimal()) + Decimal(cost)
    facts = {d: DayFacts(total) for d, total in totals.items()} | more.pop("facts", {})
    arguments = {"days": facts, "names": {ALPHA: "alpha"}, "currency": "USD", "cost_basis": "billed"} | more
    own = {name: arguments.pop(name) for name in ("ou", "restated") if name in arguments}
    return digest_figures(DigestInputs(table(rows), day, **arguments), **own)


def flat(cost: str, *days: date, ou: str = "Platform", service: str = "EC2", account: str = ALPHA) -> list[Row]:
    return [(day, ou, service, account, cost) for day in days]


def month_of(cost: str = "100", first: date = date(2025, 8, 1), last: date = WED) -> list[Row]:
    return flat(cost, *(first + timedelta(n) for n in range((last - first).days + 1)))


class Texts(HTMLParser):
    """The tags and the visible text of a page."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.text = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list) -> None:
        self.tags.append(tag)

    def handle_data(self, data: str) -> None:
        self.text += data


# --- figures


def test_sums_are_exact_and_csv_sums_to_the_total() -> None:
    """The total is exact to the last decimal, and the attached CSV adds up to it."""
    rows = flat("0.1", WED) + flat("0.000000000003", WED, service="S3") + flat("33.33333333333", WED, ou="Data")
    figures = figures_of(rows)
    assert figures.total == Decimal("33.433333333333")
    data = breakdown_csv(figures.rows).decode("utf-8-sig")
    read = list(csv.DictReader(io.StringIO(data)))
    assert sum(Decimal(row["DailyCost"]) for row in read) == figures.total
    assert [(row["OU"], row["Service"]) for row in read] == [("Data", "EC2"), ("Platform", "EC2"), ("Platform", "S3")]
    assert plain(figures.total) in render(figures).text


def test_comparisons_are_the_day_before_and_the_week_before() -> None:
    """Each OU is compared with the same weekday last week and with the day before, a missing OU counting as zero."""
    rows = flat("110", WED) + flat("100", WED - WEEK) + flat("80", WED - DAY) + flat("5", WED, ou="New")
    figures = figures_of(rows)
    line = figures.ous.lines[0]
    assert (line.name, line.cost, line.last_week, line.day_before) == ("Platform", 110, 100, 80)
    assert figures.ous.lines[1].last_week == 0
    assert subject(figures) == "[FinOps] 10 Sep 2025: 115.00 USD (+15.0 % vs Wed 3 Sep), provisional"


def test_missing_days_are_named_never_guessed() -> None:
    """Without the week before, the day before is compared with; without both, no percentage stands anywhere."""
    figures = figures_of(flat("110", WED) + flat("100", WED - DAY))
    assert "(+10.0 % vs Tue 9 Sep)" in subject(figures)
    text = render(figures).text
    assert "Wed 3 Sep, week before: no data" in text
    assert "No data for Wed 3 Sep: not compared." in text

    alone = figures_of(flat("110", WED))
    assert subject(alone) == "[FinOps] 10 Sep 2025: 110.00 USD, provisional"
    assert headline(alone) == "There is no data for Wed 3 Sep or Tue 9 Sep to compare Wed 10 Sep with."
    assert alone.movers_up == alone.movers_down == ()
    digest = render(alone)
    assert "%" not in digest.text.replace("100.0 %", "")
    assert "What moved" not in digest.html


def test_month_to_date_names_its_missing_days() -> None:
    """Month to date says which days it lacks, and is then compared with nothing."""
    gone = {date(2025, 9, d) for d in (2, 3, 4, 7)}
    figures = figures_of([row for row in month_of() if row[0] not in gone])
    assert (figures.month.total, figures.month.before) == (600, None)
    assert set(figures.month.missing) == gone
    assert "without 2\u20134 Sep, 7 Sep: no data" in render(figures).text


def test_month_to_date_is_compared_with_as_many_days_of_the_month_before() -> None:
    """The base is the same number of days; it is left out where the month before is shorter or has a gap."""
    assert figures_of(month_of()).month.before == 1000
    assert figures_of([row for row in month_of() if row[0] != date(2025, 8, 2)]).month.before is None
    march = figures_of(month_of(first=date(2025, 2, 1), last=date(2025, 3, 31)), date(2025, 3, 31))
    assert (march.month.total, march.month.before) == (3100, None)


def test_first_of_the_month_is_a_month_of_one_day() -> None:
    """On the 1st, month to date is the day itself, compared with the 1st of the month before."""
    figures = figures_of(month_of(last=date(2025, 9, 1)), date(2025, 9, 1))
    assert (figures.month.total, figures.month.before, figures.month.missing) == (100, 100, ())
    assert "Month to date, 1 Sep" in render(figures).text


def test_days_without_rows_count_through_their_facts() -> None:
    """A day of which only the total is known serves totals and month to date, not the comparison of OUs."""
    figures = figures_of(flat("110", WED), facts={WED - WEEK: DayFacts(Decimal(100))})
    assert figures.last_week.total == 100
    assert figures.ous.lines[0].last_week is None
    assert "(+10.0 % vs Wed 3 Sep)" in subject(figures)
    assert render(figures).text


@pytest.mark.parametrize(
    ("now", "before", "forbidden", "expected"),
    [
        ("50", "0", "%", "+50.00 vs Wed 3 Sep"),  # from nothing there is no percentage
        ("50", "-10", "%", "+60.00 vs Wed 3 Sep"),  # nor of a negative base
        ("-50", "0", "%", "-50.00 vs Wed 3 Sep"),
        ("50", "0.01", "499900", "over 999 x vs Wed 3 Sep"),  # true, and of no use
        ("0", "0", "+", "0.0 % vs Wed 3 Sep"),
    ],
)
def test_percentages_of_odd_bases_do_not_lie(now: str, before: str, forbidden: str, expected: str) -> None:
    """A zero, negative or negligible base gives an amount or a bound, never a percentage that misleads."""
    figures = figures_of(flat(now, WED) + flat(before, WED - WEEK))
    assert expected in subject(figures)
    assert forbidden not in subject(figures).replace(expected, "")
    assert render(figures).html


def test_negative_total_has_no_shares() -> None:
    """On a day of credits no OU has a share, and the amounts keep their sign."""
    figures = figures_of(flat("10", WED) + flat("-200", WED, ou="Credits"))
    digest = render(figures)
    assert re.search(r"^All +-190\.00$", digest.text, re.MULTILINE)
    assert "%" not in digest.text
    assert to_png(chart_spec(figures)).startswith(b"\x89PNG")


def test_one_ou_only() -> None:
    """A bill of one account is a whole digest."""
    figures = figures_of(month_of())
    assert [line.name for line in figures.ous.lines] == ["Platform"]
    assert figures.ous.rest is None
    assert headline(figures) == "Level with Wed 3 Sep (0.0 %)."
    assert "Unassigned: no account" in render(figures).text


def test_the_rest_keeps_the_sum() -> None:
    """OUs that are not named are summed, those that are gone included, so that the columns add up."""
    rows = [r for n in range(20) for r in flat(str(n + 1), WED, WED - WEEK, ou=f"OU {n:02}")]
    rows += flat("7", WED - WEEK, ou="Closed")
    figures = figures_of(rows)
    lines = [*figures.ous.lines, figures.ous.rest]
    assert len(figures.ous.lines) == 8
    assert sum(line.cost for line in lines) == figures.total
    assert sum(line.last_week for line in lines) == figures.last_week.total
    assert figures.ous.rest.name == "12 others"


def test_movers_are_by_ou_service_and_account() -> None:
    """Movers carry what was and what is; something new and something gone are movers too."""
    rows = flat("100", WED - WEEK) + flat("150", WED)
    rows += flat("30", WED - WEEK, service="S3") + flat("9", WED, service="Lambda", account=BETA)
    figures = figures_of(rows, names={ALPHA: "alpha"})
    assert [(m.service, m.name, m.before, m.now) for m in figures.movers_up] == [
        ("EC2", "alpha", 100, 150),
        ("Lambda", "", 0, 9),
    ]
    assert [(m.service, m.delta) for m in figures.movers_down] == [("S3", -30)]


def test_headline_names_the_cause_over_accounts() -> None:
    """The sentence names the OU and service that explain the change, and the account where it is one."""
    rows = flat("100", WED - WEEK) + flat("140", WED) + flat("50", WED, WED - WEEK, account=BETA)
    assert headline(figures_of(rows)) == (
        "Up 26.7 % vs Wed 3 Sep (+40.00 USD), mainly EC2 in Platform (+40.00 USD, account alpha)."
    )


def test_a_drop_of_a_provisional_day_is_told_with_care() -> None:
    """A provisional day that fell may only be unfinished; a closed one fell."""
    rows = flat("100", WED - WEEK) + flat("60", WED)
    assert "may still rise" in headline(figures_of(rows))
    closed = figures_of(rows, facts={WED: DayFacts(Decimal(60), settlement="closed")})
    assert "may still rise" not in headline(closed)
    assert subject(closed).endswith("(-40.0 % vs Wed 3 Sep)")


def test_the_digest_names_the_delivery_of_the_bill() -> None:
    """In the facts at its end, as HTML and as text; nothing is said where the archive does not know."""
    known = figures_of(flat("60", WED), facts={WED: DayFacts(Decimal(60), delivery="20250904T060000Z-f00d")})
    shown = render(known)
    assert "Delivery of the bill: 20250904T060000Z-f00d\n" in shown.text
    assert "20250904T060000Z-f00d" in shown.html
    assert "Delivery of the bill" not in render(figures_of(flat("60", WED))).text


def test_scheduled_charges_explain_the_first_of_the_month() -> None:
    """When tax and fees make the change, the headline says so and compares usage alone."""
    first = date(2025, 9, 1)
    rows = flat("100", first - WEEK) + flat("104", first) + flat("500", first, service="Tax")
    facts = {
        first: DayFacts(
            Decimal(604),
            scheduled=Decimal(500),
            by_category={
                "Usage": Decimal(104),
                "Tax": Decimal(450),
                "Purchase": Decimal(30),
                "Correction": Decimal(-10),
                "Adjustment": Decimal(30),
            },
        )
    }
    figures = figures_of(rows, first, facts=facts)
    assert headline(figures) == (
        "500.00 USD of the total are scheduled charges (purchases and fees 30.00, tax 450.00, corrections -10.00, "
        "usage and other charges for longer than a day 30.00); usage alone is 104.00 USD, +4.0 % vs Mon 25 Aug."
    )
    assert sum(cost for _, cost in scheduled_lines(figures.facts)) == 500
    text = render(figures).text
    assert "Scheduled charges of the day\n" in text
    assert "Mon 1 Sep carries 500.00 USD of scheduled charges" in text


def test_scheduled_charges_of_the_compared_day_are_told() -> None:
    """A fall from a day of fees is not told as savings."""
    rows = flat("100", WED) + flat("600", WED - WEEK)
    facts = {WED - WEEK: DayFacts(Decimal(600), scheduled=Decimal(500), by_category={"Tax": Decimal(500)})}
    assert headline(figures_of(rows, facts=facts)) == (
        "-500.00 USD vs Wed 3 Sep, which carried 500.00 USD of scheduled charges; "
        "usage alone is 100.00 USD, 0.0 % vs Wed 3 Sep."
    )


def test_unassigned_accounts_are_listed() -> None:
    """Each account without an OU is named with its id and amount; they are part of the total."""
    rows = flat("100", WED) + flat("7.5", WED, ou="Unassigned", account=LOST)
    figures = figures_of(rows)
    assert figures.unassigned == ((LOST, "", Decimal("7.5")),)
    text = render(figures).text
    assert re.search(rf"{LOST}\s+7\.50", text)
    assert figures.total == Decimal("107.5")


def test_everything_promised_is_in_both_parts() -> None:
    """Settlement, data through, basis, currency, what is left out, archive path and links stand in HTML and text."""
    left_out = "tax: 12 lines, 103.20 USD left out by bill.include_tax"
    figures = figures_of(
        month_of(),
        facts={WED: DayFacts(Decimal(100), left_out=(left_out,))},
        cost_basis="effective",
        links={"Dashboard": "https://example.com/d", "Folder": "/srv/finops/dashboard.html"},
        data_through=WED - DAY,
        covered=Covered(date(2025, 6, 13), date(2025, 9, 9), 89, Decimal("301234.56")),
        notes=["The export is 9 h late."],
    )
    digest = render(figures, {"chart": PNG})
    for part in (digest.text, Texts(digest.html).text):
        part = " ".join(part.split())
        for promise in (
            "provisional: AWS may still change it",
            "Tue 9 Sep 2025",
            "USD, effective cost, amortized",
            left_out,
            "ou-breakdowns/year=2025/month=09/day=10/ou_breakdown.parquet",
            "https://example.com/d",
            "/srv/finops/dashboard.html",
            "This mail also covers 89 earlier days, 13 Jun to 9 Sep 2025: 301,234.56 USD",
            "The export is 9 h late.",
        ):
            assert promise in part, promise
    assert digest.html.count("<a ") == 1  # a path is shown, not linked


def test_a_day_without_rows_or_facts_is_refused() -> None:
    """Empty is a finding: there is no digest of nothing."""
    with pytest.raises(ArchiveError, match="no rows"):
        figures_of(flat("1", WED - DAY))
    with pytest.raises(ArchiveError, match="says nothing"):
        digest_figures(DigestInputs(table(flat("1", WED)), WED, days={}, names={}, currency="USD", cost_basis="billed"))


def test_rows_that_are_not_the_total_are_refused() -> None:
    """A digest whose CSV would not sum to its total is never made; a double's last digit is not a difference."""
    with pytest.raises(ArchiveError, match=r"rows sum to 10.*said to be 10\.01"):
        figures_of(flat("10", WED), facts={WED: DayFacts(Decimal("10.01"))})
    assert figures_of(flat("10", WED), facts={WED: DayFacts(Decimal("10.000000000001"))})


def test_later_days_are_ignored() -> None:
    """The digest of a past day is the same, whatever was archived after it."""
    rows = month_of()
    assert render(figures_of(rows + flat("9", WED + DAY)), {"chart": PNG}) == render(figures_of(rows), {"chart": PNG})


# --- CSV


def test_csv_is_what_spreadsheets_and_programs_take() -> None:
    """Header, CRLF, byte order mark, quoting, plain decimals; a formula is text, a number never is."""
    rows = flat("-0.0000001", WED, ou="=1+1", service='say "hi", twice', account="+49") + flat("1E+3", WED, ou="-x")
    rows += flat("2", WED, ou="@cmd", service="line\nend")
    data = breakdown_csv(table(rows))
    assert data.startswith(b"\xef\xbb\xbfBillingDate,OU,Service,LinkedAccount,DailyCost,Account\r\n")
    assert (
        data.decode("utf-8-sig").splitlines()[1] == '2025-09-10,\'=1+1,"say ""hi"", twice",\'+49,-0.0000001,account +49'
    )
    read = list(csv.reader(io.StringIO(data.decode("utf-8-sig"), newline="")))
    assert [row[4] for row in read[1:]] == ["-0.0000001", "1000", "2"]
    assert [row[1] for row in read[1:]] == ["'=1+1", "'-x", "'@cmd"]
    assert read[3][2] == "line\nend"


IDS = ("012345678901", "000000000001", "111122223333")


def test_csv_has_ids_for_programs_and_as_text_for_spreadsheets() -> None:
    """LinkedAccount is the plain id; the last column has it as text, with the account's name where there is one."""
    rows = [row for account in (*IDS, "-012") for row in flat("1.5", WED, account=account)]
    data = breakdown_csv(table(rows), {"012345678901": "shop\nprod", "111122223333": "=x"})
    read = {row["LinkedAccount"]: row for row in csv.DictReader(io.StringIO(data.decode("utf-8-sig"), newline=""))}
    assert {account: row["Account"] for account, row in read.items()} == {
        "012345678901": "012345678901 (shop prod)",
        "000000000001": "account 000000000001",
        "111122223333": "111122223333 (=x)",
        "'-012": "account -012",
    }
    assert all(row["DailyCost"] == "1.5" for row in read.values())


@pytest.mark.skipif(not shutil.which("ssconvert"), reason="needs gnumeric")
def test_csv_keeps_ids_after_a_spreadsheet_has_opened_and_saved_it(tmp_path: Path) -> None:
    """Ids and costs are what they were: gnumeric guesses types as Excel does."""
    rows = [row for account in IDS for row in flat("1.5", WED, account=account)]
    (tmp_path / "mail.csv").write_bytes(breakdown_csv(table(rows), {IDS[0]: "1/2", IDS[1]: "E5"}))
    for before, after in (("mail.csv", "book.xlsx"), ("book.xlsx", "saved.csv")):
        subprocess.run(["ssconvert", before, after], cwd=tmp_path, check=True, capture_output=True)
    with (tmp_path / "saved.csv").open(encoding="utf-8-sig", newline="") as saved:
        read = [(row["Account"], row["DailyCost"]) for row in csv.DictReader(saved)]
    assert sorted(read) == [
        ("000000000001 (E5)", "1.5"),
        ("012345678901 (1/2)", "1.5"),
        ("account 111122223333", "1.5"),
    ]


# --- hostile names


@pytest.fixture
def hostile() -> Digest:
    rows = [
        row
        for name in HOSTILE
        for row in (
            *flat("50", WED, ou=name, service=name, account=name),
            *flat("10", WED - WEEK, ou=name, account=name),
        )
    ]
    rows += flat("3", WED, ou="Unassigned", account=HOSTILE[0])
    figures = figures_of(
        rows,
        names={name: name for name in HOSTILE},
        links={"x": "javascript:alert(1)"},
        notes=[HOSTILE[2]],
        archive_path=HOSTILE[0],
    )
    return render(figures, {"chart": PNG}, prefix="[FinOps]\r\nBcc: thief@example.com")


def test_hostile_names_are_text_in_html(hostile: Digest) -> None:
    """No name becomes a tag, an attribute or a link."""
    page = Texts(hostile.html)
    assert "script" not in page.tags
    assert "a" not in page.tags
    assert HOSTILE[0] in page.text
    assert 'click")' in page.text
    assert "\u202e" not in hostile.html


def test_hostile_names_are_single_lines_of_text(hostile: Digest) -> None:
    """No name starts a line of its own, hides or reverses what follows it."""
    assert not any(line.strip().startswith("Bcc:") for line in hostile.text.splitlines())
    assert not re.search("[\u202a-\u202e\x00-\x09\x0b-\x1f]", hostile.text)
    assert f"\u2068{HOSTILE[4]}\u2069" in hostile.text  # isolated, so that the numbers beside it keep their places


def test_hostile_names_are_cells_in_csv(hostile: Digest) -> None:
    """Every row comes back with six cells, and none is a formula."""
    read = list(csv.reader(io.StringIO(hostile.csv.decode("utf-8-sig"), newline="")))
    assert {len(row) for row in read} == {6}
    cells = [cell for row in read[1:] for cell in (*row[:4], row[5])]
    assert not any(cell.startswith(("=", "+", "-", "@", "\t", "\r")) for cell in cells)


def test_hostile_headers_are_refused_or_cleaned(hostile: Digest) -> None:
    """No header can be added through a subject, and none through an address."""
    mail = parsed(hostile)
    assert mail["Bcc"] is None
    assert mail["Subject"].startswith("[FinOps] Bcc: thief@example.com 10 Sep 2025")
    for bad in ("a@example.com\r\nBcc: thief@example.com", "a@example.com\n", '"x\r\nBcc: y" <a@example.com>'):
        with pytest.raises(SettingsError, match=r"mail\.recipients"):
            parsed(hostile, recipient=bad)
        with pytest.raises(SettingsError, match=r"mail\.sender"):
            parsed(hostile, sender=bad)


def test_chart_takes_hostile_names(hostile: Digest) -> None:
    """Names are data in the chart: labels stay distinct and short, and it renders."""
    costs = {WED: {name: Decimal(1) for name in (*HOSTILE[:3], "x" * 300, "y" + "x" * 299)}}
    spec = daily_cost.daily_cost_spec(costs, WED, currency="USD", basis="billed cost")
    labels = spec["layer"][0]["encoding"]["color"]["scale"]["domain"]
    assert len(labels) == len(set(labels)) == 5
    assert max(map(len, labels)) <= 27
    assert to_png(spec).startswith(b"\x89PNG")


def test_tidy_keeps_ordinary_text() -> None:
    """Letters of all scripts stay; lengths are bounded."""
    assert tidy("Größe 日本 שלום") == "Größe 日本 שלום"
    assert len(tidy("x" * 1000)) == 120


# --- the message


def parsed(
    digest: Digest, *, sender: str = "FinOps Büro <finops@example.com>", recipient: str = "a@example.com"
) -> email.message.EmailMessage:
    at = datetime(2025, 9, 11, 7, 0, tzinfo=UTC)
    mail = message(digest, Envelope(sender, recipient, "<1@example.com>", at))
    return email.message_from_bytes(mail.as_bytes(), policy=default)


def test_message_has_its_parts_whole() -> None:
    """A mail program finds the text, the HTML with its chart, and the CSV, each byte for byte."""
    digest = render(figures_of(month_of() + flat("1", WED, ou="Größe")), {"chart": PNG})
    mail = parsed(digest)
    assert mail.get_content_type() == "multipart/mixed"
    assert [part.get_content_type() for part in mail.walk()] == [
        "multipart/mixed",
        "multipart/alternative",
        "text/plain",
        "multipart/related",
        "text/html",
        "image/png",
        "text/csv",
    ]
    text, html = (mail.get_body((kind,)).get_content().replace("\r\n", "\n") for kind in ("plain", "html"))
    assert (text, html) == (digest.text, digest.html)
    image = next(part for part in mail.walk() if part.get_content_type() == "image/png")
    assert f"cid:{image['Content-ID'].strip('<>')}" in html
    assert image.get_content() == PNG
    attached = next(mail.iter_attachments())
    assert attached.get_payload(decode=True) == digest.csv
    assert attached.get_filename() == "ou_breakdown_2025-09-10.csv"
    assert mail["From"].addresses[0].display_name == "FinOps Büro"
    assert (mail["X-Finops-Day"], mail["X-Finops-Revision"]) == ("2025-09-10", "1")
    assert mail["Auto-Submitted"] == "auto-generated"
    assert mail["Date"].datetime == datetime(2025, 9, 11, 7, 0, tzinfo=UTC)


def test_message_is_the_same_bytes_every_time() -> None:
    """The same digest to the same recipient is the same message, in lines that every server takes."""
    digest = render(figures_of(month_of()), {"chart": PNG})
    first, second = (parsed(digest).as_bytes(policy=SMTP) for _ in range(2))
    assert first == second
    assert first.isascii()
    assert max(map(len, first.split(b"\r\n"))) <= 998


def test_message_without_a_chart_is_whole() -> None:
    """A chart that could not be drawn does not keep the mail back."""
    digest = render(figures_of(month_of()))
    assert "<img" not in digest.html
    assert "image/png" not in [part.get_content_type() for part in parsed(digest).walk()]


def large(size: int, noise: bool) -> Digest:
    """A digest whose CSV has this many bytes, which gzip makes small or cannot."""
    data = random.Random(1).randbytes(size) if noise else b"x" * size
    return dataclasses.replace(render(figures_of(month_of()), {"chart": PNG}), csv=data)


def sized(digest: Digest, max_bytes: int) -> email.message.EmailMessage:
    at = datetime(2025, 9, 11, 7, 0, tzinfo=UTC)
    link = Link("https://s3.example/x.csv?a=1&b=<2>", "digests/2025-09-10/r1/x.csv", at + timedelta(7))
    mail = message(
        digest,
        Envelope("a@example.com", "b@example.com", "<1@example.com>", at),
        max_bytes=max_bytes,
        link=lambda: link,
    )
    return email.message_from_bytes(mail.as_bytes(), policy=default)


@pytest.mark.parametrize(
    ("size", "noise", "attached", "said"),
    [
        (70_000, True, "ou_breakdown_2025-09-10.csv", ""),
        (75_000, False, "ou_breakdown_2025-09-10.csv.gz", "attached gzipped, as ou_breakdown_2025-09-10.csv.gz"),
        (200_000, True, None, "too large to attach. Valid until 2025-09-18 07:00 UTC at the latest"),
    ],
    ids=["base64 still fits", "base64 does not, gzip does", "gzip does not either"],
)
def test_a_csv_comes_in_the_best_way_that_fits(size: int, noise: bool, attached: str | None, said: str) -> None:
    """The message as it is sent is within the limit; text and HTML say how the CSV comes where it is not as it is."""
    limit = 120_000
    digest = large(size, noise)
    mail = sized(digest, limit)
    assert len(mail.as_bytes(policy=SMTP)) <= limit
    files = [part for part in mail.iter_attachments() if part.get_filename() != "chart.png"]
    assert [part.get_filename() for part in files] == ([attached] if attached else [])
    for part in files:
        data = part.get_payload(decode=True)
        packed = attached.endswith(".gz")
        assert (gzip.decompress(data) if packed else data) == digest.csv
        assert not packed or data[4:8] == bytes(4)  # the time: none, or the message would differ from second to second
    text, html = (mail.get_body((kind,)).get_content() for kind in ("plain", "html"))
    page = Texts(html)
    for shown in (text, page.text):
        assert said in " ".join(shown.split())
        assert "Attached" not in shown
        assert "CSV of all OUs" in shown
    if attached is None:
        assert "https://s3.example/x.csv?a=1&b=<2>" in text
        assert 'href="https://s3.example/x.csv?a=1&amp;b=&lt;2&gt;"' in html
        assert all("keeps it at digests/2025-09-10/r1/x.csv" in shown for shown in (text, page.text))
    if not said:
        assert (text.replace("\r\n", "\n"), html.replace("\r\n", "\n")) == (digest.text, digest.html)
    assert sized(digest, limit).as_bytes() == mail.as_bytes()


def test_the_limit_is_of_the_whole_message_as_it_is_sent() -> None:
    """One byte less than the message has, and the CSV comes another way."""
    digest = large(50_000, noise=True)
    whole = len(sized(digest, 10**9).as_bytes(policy=SMTP))
    names = [[p.get_filename() for p in sized(digest, limit).iter_attachments()] for limit in (whole, whole - 1)]
    assert names == [["ou_breakdown_2025-09-10.csv"], []]  # noise: gzip makes it larger still


def test_the_note_on_the_csv_has_its_place_in_the_page() -> None:
    """It stands within the card; a page without that place, of an earlier version, has it all the same."""
    digest = large(200_000, noise=True)
    html = sized(digest, 120_000).get_body(("html",)).get_content()
    assert digest.html.count(CSV_NOTE) == 1
    assert CSV_NOTE not in html
    assert html.index("Download the CSV") < html.index("</body>")
    old = dataclasses.replace(digest, html="<p>old</p>")
    assert "Download the CSV" in sized(old, 120_000).get_body(("html",)).get_content()


@pytest.mark.parametrize(
    ("address", "why"),
    [
        ("", "nothing"),
        ("finops", "no domain"),
        ("a b@example.com", "a space"),
        ("a@b@example.com", "two signs"),
        ("a@example..com", "an empty label"),
        (".a@example.com", "a leading dot"),
        ("bücher@example.com", "SES takes 7-bit local parts only"),
        ("a@bücher.example", "the domain has an xn-- form"),
        ("a@example.com, b@example.com", "two addresses"),
        ("x" * 65 + "@example.com", "too long a local part"),
        ("a@example.com\n", "a line end"),
    ],
)
def test_malformed_addresses_are_named(address: str, why: str) -> None:
    """The error names the address and the setting it came from."""
    with pytest.raises(SettingsError, match=r"^mail\.recipients: ") as caught:
        mail_address(address, "mail.recipients")
    assert repr(address) in str(caught.value), why


def test_ordinary_addresses_pass() -> None:
    """Defaults, plus signs and display names are addresses."""
    for good in (
        "finops@localhost",
        "a.b+c@mail.example.com",
        "FinOps <finops@example.com>",
        '"A, B" <a@xn--bcher-kva.de>',
    ):
        assert mail_address(good, "mail.sender").addr_spec in good


# --- revisions, chart, speed


def test_revision_is_told() -> None:
    """A second digest of a day says that it is one, in subject, text and file name."""
    digest = render(figures_of(month_of()), revision=2)
    assert digest.subject.startswith("[FinOps] 10 Sep 2025, revision 2: ")
    assert digest.csv_name == "ou_breakdown_2025-09-10_r2.csv"
    assert "revision 2" in digest.text
    assert "revision 2" in digest.html


def test_chart_marks_gaps_scheduled_charges_and_the_day() -> None:
    """A day without data is not a day of zero, scheduled charges are outlined, and the total stands at the day."""
    rows = [row for row in month_of() if row[0] != date(2025, 9, 5)]
    facts = {date(2025, 9, 1): DayFacts(Decimal(100), scheduled=Decimal(40))}
    bars, scheduled, missing, label = chart_spec(figures_of(rows, facts=facts))["layer"]
    assert not any(bar["day"] == "2025-09-05" for bar in bars["data"]["values"])
    assert [(m["day"], m["from"], m["to"]) for m in scheduled["data"]["values"]] == [("2025-09-01", 60, 100)]
    assert missing["data"]["values"] == [{"day": "2025-09-05", "text": "no data"}]
    assert label["data"]["values"][0]["text"] == "100.00"


def test_days_before_the_first_are_not_gaps() -> None:
    """A new archive's chart keeps room to its left, and does not call it missing data."""
    bars, label = chart_spec(figures_of(flat("1", WED)))["layer"]
    assert len(bars["encoding"]["x"]["scale"]["domain"]) == 14
    assert label["data"]["values"][0]["day"] == "2025-09-10"


def test_png_is_whole_after_packing() -> None:
    """The packed image has the size asked for and every checksum right."""
    import struct
    import zlib

    png = to_png(chart_spec(figures_of(month_of())))
    assert struct.unpack(">II", png[16:24]) == (1000, 452)
    at, kinds, pixels = 8, [], b""
    while at < len(png):
        length, kind = struct.unpack(">I4s", png[at : at + 8])
        body = png[at + 8 : at + 8 + length]
        assert struct.unpack(">I", png[at + 8 + length : at + 12 + length])[0] == zlib.crc32(kind + body)
        pixels += body if kind == b"IDAT" else b""
        kinds.append(kind)
        at += 12 + length
    assert kinds[0] == b"IHDR"
    assert kinds[-1] == b"IEND"
    assert len(zlib.decompress(pixels)) == 452 * (1000 * 4 + 1)


def test_columns_align_wide_and_combining_letters() -> None:
    """Columns line up in a fixed-width font, whatever the script."""
    lines = columns([["日本", "1"], ["abcd", "22"], ["e\u0301bcd", "3"]], "<>").splitlines()
    assert lines == ["日本   1", "abcd  22", "e\u0301bcd   3"]


def test_importing_the_digest_loads_nothing_heavy() -> None:
    """What sends a digest again pays neither for Jinja nor for the chart renderer; every command reads Arrow anyway."""
    heavy = "jinja2 vl_convert typst pandas altair"
    code = f"import sys, finops_assets.core.delivery.outbox; print([m for m in '{heavy}'.split() if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"

"""Bills in several currencies: archived as they are billed, shown in one by the rates of each month; by hand."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from email import message_from_bytes, policy
from pathlib import Path

import pyarrow as pa
import pytest

from finops_assets.core.analytics.driver_sums import as_sums
from finops_assets.core.analytics.drivers import OF_THE_BILL
from finops_assets.core.analytics.shown_drivers import shown_sums
from finops_assets.core.archive import restatements
from finops_assets.core.archive.breakdown import split_by_day
from finops_assets.core.archive.day_checks import faults
from finops_assets.core.archive.day_currencies import exact_of_bill, left_out_of, parts_of
from finops_assets.core.archive.dimension_sums import dimension_sums
from finops_assets.core.archive.display import Display
from finops_assets.core.archive.publishing import ArchivingRules, source_day
from finops_assets.core.bill.exchange_rates import ExchangeRates, RatesError, converted, rates_in_words, read_rates
from finops_assets.core.bill.several import combined_days
from finops_assets.core.calendar import days_between
from finops_assets.core.errors import BillError, SettingsError
from finops_assets.core.operations.evidence.asked_bill import AskedBill
from finops_assets.core.operations.evidence.making import make
from finops_assets.core.ports import Warehouse
from finops_assets.core.schemas import DIMENSION_BREAKDOWN, MONEY
from finops_assets.core.values import LeftOut, PublishedDay, SourceDay
from finops_assets.platform import Platform, build_platform
from finops_assets.settings.load import load_settings
from finops_assets_tests.support.bills import (
    Line,
    account_map,
    archive_days,
    at,
    line,
    make_bill,
    new_archive,
    open_bill,
)
from finops_assets_tests.support.command import finops
from finops_assets_tests.support.on_aws import make_ready, on_aws, platform_on, run
from standin.bills import load_bill
from standin.server import StandIn

SEP, OCT = date(2025, 9, 30), date(2025, 10, 1)
NOW, NOVEMBER = datetime(2025, 10, 2, 7, tzinfo=UTC), datetime(2025, 11, 2, tzinfo=UTC)
SHOP, DATA = "100000000001", "100000000002"
EC2 = "Amazon Elastic Compute Cloud"
RATES = "month,currency,rate\n2025-09,USD,0.9\n2025-10,USD,0.8\n"


def shown_in_euro(rates: str = RATES) -> Display:
    return Display("EUR", lambda: rates.encode())


def dollars(cost: str, day: date, account: str = SHOP) -> Line:
    return line(cost, start=at(day), service=EC2, account=account, extra={"BillingAccountId": "111111111111"})


def euros(cost: str, day: date, account: str = DATA) -> Line:
    return line(cost, start=at(day), service=EC2, account=account, currency="EUR")


# --- the rates ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("month,currency\n2025-09,USD\n", ("rate",)),
        ("month,currency,rate\n2025-13,USD,1.1\n", ("line 2", "2025-13")),
        ("month,currency,rate\n2025-09,Dollar,1.1\n", ("line 2", "DOLLAR")),
        ("month,currency,rate\n2025-09,USD,0\n", ("line 2", "'0'")),
        ("month,currency,rate\n2025-09,USD,-1\n", ("line 2", "-1")),
        ("month,currency,rate\n2025-09,USD,1e3\n", ("line 2", "1e3")),
        ('month,currency,rate\n2025-09,USD,"0,92"\n', ("line 2", "0,92")),
        ("month,currency,rate\n2025-09,USD,0,92\n", ("line 2", "4 values")),
        ("month,currency,rate\n2025-09,USD,0.92\n2025-09,usd,0.93\n", ("line 3", "USD", "2025-09")),
        ("month,currency,rate\n2025-09,EUR,1.1\n", ("line 2", "EUR")),
    ],
)
def test_rates_that_cannot_be_meant_are_refused(text: str, words: tuple[str, ...]) -> None:
    """With the line and what is wrong there: a comma would make 0.92 of it 92, a second rate another amount."""
    with pytest.raises(RatesError) as refused:
        read_rates(text.encode(), "rates.csv", "EUR")
    for word in ("rates.csv", *words):
        assert word in str(refused.value)


def test_rates_are_exact_and_of_a_month() -> None:
    """Blank lines and blanks around values do not count; the display currency is worth itself."""
    rates = read_rates(b"Currency, Rate ,Month\n usd , 0.9234 ,2025-09\n,,\n", "rates.csv", "EUR")
    assert rates.of("USD", SEP) == Decimal("0.9234")
    assert rates.of("EUR", OCT) == 1
    with pytest.raises(RatesError) as missing:
        rates.refuse_missing([(SEP, "USD"), (OCT, "USD"), (OCT, "GBP"), (OCT, "EUR")])
    for word in ("GBP for 2025-10", "USD for 2025-10"):
        assert word in missing.value.what
    assert "2025-09" not in missing.value.what


def test_amounts_are_rounded_in_the_twelfth_place_half_to_even() -> None:
    """Whether one by one or a column of rows at once."""
    display = shown_in_euro("month,currency,rate\n2025-09,USD,0.5\n")
    for exact, shown in (("0.000000000001", "0"), ("0.000000000003", "0.000000000002"), ("-8192.25", "-4096.125")):
        assert converted(Decimal(exact), Decimal("0.5")) == Decimal(shown)
        table = pa.table({"linkedaccount": ["1"], "dailycost": [float(exact)]})
        assert display_rows(display, table) == [Decimal(shown)]


def display_rows(display: Display, table: pa.Table) -> list[Decimal]:
    day = PublishedDay(SEP, "", "", 1, Decimal(), "USD", "billed", "", 0)
    return display.rows(day, table)[1].to_pylist()


def test_costs_by_dimension_are_shown_in_the_currency_of_the_rest() -> None:
    """And are other sums when a rate is another one: they are kept by what they are shown as."""
    day = PublishedDay(SEP, "", "", 1, Decimal(10), "USD", "billed", "f", 0, {"dimensions": '{"tag:team": "f"}'})
    cells = {"billingdate": SEP, "dimension": "tag:team", "value": "a", "ou": "Eng", "service": EC2}
    rows = pa.Table.from_pylist([{**cells, "linkedaccount": SHOP, "cost": Decimal(10)}], DIMENSION_BREAKDOWN)

    class OneDay:
        def __init__(self) -> None:
            self.objects: dict[str, bytes] = {}
            self.get, self.put = self.objects.get, self.objects.__setitem__
            self.read = 0

        def describe(self, _: date) -> PublishedDay:
            return day

        def dimensions(self, *_: object) -> pa.Table:
            self.read += 1
            return rows

    archive = OneDay()
    for rates, amount, read in ((RATES, "9", 1), (RATES, "9", 1), (RATES.replace("0.9", "0.7"), "7", 2)):
        shown = shown_in_euro(rates).archive(archive)
        sums = dimension_sums(shown, {SEP: shown.describe(SEP)})
        assert (sums.column("cost").to_pylist(), archive.read) == ([Decimal(amount)], read)


def test_rates_in_words_name_each_month_the_newest_first() -> None:
    """Where none was used, nothing is said."""
    used = [("2025-09", "USD", Decimal("0.9")), ("2025-10", "USD", Decimal("0.8")), ("2025-10", "GBP", Decimal("1.2"))]
    assert (
        rates_in_words("EUR", used) == "Shown in EUR: GBP at 1.2 for 2025-10; USD at 0.8 for 2025-10, 0.9 for 2025-09."
    )
    assert rates_in_words("EUR", []) == ""


# --- two bills, end to end ------------------------------------------------------------------------------------------


def on_files(home: Path) -> Platform:
    bills = {"aws": make_bill(home / "aws", AWS), "azure": make_bill(home / "azure", AZURE)}
    environ = {f"FINOPS_BILL__{name.upper()}__PATH": str(path) for name, path in bills.items()}
    return platform_of(home, {"FINOPS_HOME": str(home / ".finops"), **environ})


def on_tables(stand_in: StandIn, home: Path) -> Platform:
    make_ready(stand_in, make_bill(home / "aws", AWS), table="billing.aws")
    load_bill(stand_in, make_bill(home / "azure", AZURE), table="billing.azure", bucket="azure-bucket")
    environ = on_aws(stand_in, home, aws__quicksight_data_set="")
    del environ["FINOPS_BILL__TABLE"]
    tables = {"FINOPS_BILL__AWS__TABLE": "billing.aws", "FINOPS_BILL__AZURE__TABLE": "billing.azure"}
    return platform_of(home, {**environ, **tables})


def platform_of(home: Path, environ: Mapping[str, str]) -> Platform:
    (home / "rates.csv").write_text(RATES, encoding="utf-8")
    (home / "accounts.csv").write_text(f"account_id,account_name,ou_path\n{SHOP},shop,Dev\n{DATA},data,Dev\n")
    (home / "budgets.csv").write_text("ou,month,amount,currency\nAll,default,100,EUR\n")
    own = {
        "FINOPS_CURRENCY__DISPLAY": "EUR",
        "FINOPS_CURRENCY__RATES": str(home / "rates.csv"),
        "FINOPS_ACCOUNTS__PATH": str(home / "accounts.csv"),
        "FINOPS_BUDGETS__PATH": str(home / "budgets.csv"),
        "FINOPS_MAIL__BACKEND": "eml",
    }
    return build_platform(load_settings({**environ, **own}, folder=home))


AWS = [dollars("10", SEP), dollars("1.5", SEP, "100000000009"), dollars("20", OCT)]
AZURE = [euros("7.77", SEP), euros("8.88", OCT), euros("-0.88", OCT)]


@pytest.mark.usefixtures("records_in_memory")
@pytest.mark.parametrize("place", ["files", "tables"])
def test_two_currencies_are_archived_as_billed_and_shown_in_one(
    place: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """11.50 USD at 0.9 and 7.77 EUR are 18.12 EUR; the day after, 20 USD at 0.8 and 8.00 EUR are 24 EUR."""
    stand_in: Callable[[], StandIn] = lambda: request.getfixturevalue("aws")  # noqa: E731
    platform = on_files(tmp_path) if place == "files" else on_tables(stand_in(), tmp_path)
    assert run(platform, SEP, OCT).errors == ()

    published = platform.archive.describe(SEP)
    assert published is not None
    assert published.currency == "EUR+USD"
    assert [row["dailycost"] for row in platform.archive.read([SEP]).to_pylist()] == [10.0, 7.77, 1.5]
    parts = {part.currency: part for part in parts_of(published.currency, published.metadata)}
    assert {currency: part.total for currency, part in parts.items()} == {
        "EUR": Decimal("7.77"),
        "USD": Decimal("11.5"),
    }
    assert parts["USD"].unassigned == Decimal("1.5")
    assert json.loads(published.metadata["bills"]) == [
        ["azure", "AWS", 1, "7.77", "EUR"],
        ["aws", "AWS", 2, "11.5", "USD"],
    ]

    shown = [row["cost"] for row in platform.shown_archive.read([SEP, OCT]).to_pylist()]
    assert shown == [Decimal(9), Decimal("7.77"), Decimal("1.35"), Decimal(16), Decimal(8)]
    assert platform.shown_archive.describe(OCT).total == Decimal(24)
    cards = platform.catalog.query(
        "SELECT daycost, monthtodate, budget, currency FROM finops_db.ou_scorecard WHERE ou = 'All' ORDER BY 1"
    )[1]
    assert cards == [(Decimal("18.12"), Decimal("18.12"), 100, "EUR"), (Decimal(24), Decimal(24), 100, "EUR")]
    inspection = platform.inspector.thorough(platform.clock(), [SEP, OCT])
    assert [state.cause for state in inspection.states.values()] == ["", ""]
    assert platform.inspector.bill.last().totals.unit == "EUR"
    assert "42.12 EUR (billed): 42.12 EUR in 2 days" in platform.inspector.cheap(platform.clock()).coverage_words

    file, *_ = (tmp_path / ".finops" / "outbox").glob("2025-10-01-*.eml")
    mail = message_from_bytes(file.read_bytes(), policy=policy.default)
    assert "24.00 EUR" in mail["Subject"]
    for kind in ("plain", "html"):
        text = " ".join(mail.get_body((kind,)).get_content().split())
        assert "Shown in EUR: USD at 0.8 for 2025-10, 0.9 for 2025-09." in text
        assert "exchange rates -1.00" in text  # the 9.00 EUR of the day before are 8.00 at the new rate
        assert "USD," not in text.replace("Shown in EUR: USD", "")
    files = {part.get_filename(): part.get_content() for part in mail.iter_attachments()}
    assert files["ou_breakdown_2025-10-01_EUR.csv"].splitlines()[1].split(",")[4] == "16"


# --- one bill -------------------------------------------------------------------------------------------------------

PAYERS = [dollars("10", SEP), euros("5", SEP), euros("6", OCT), dollars("0", OCT)]
ONE_ACCOUNT = [dollars("10", SEP), euros("5", SEP, SHOP)]


@pytest.mark.parametrize("place", ["files", "tables"])
def test_payers_of_one_bill_may_have_currencies_of_their_own(
    place: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """An account has one on a day, else it is refused by its name: a row would mix them."""

    def warehouse(name: str, lines: list[Line]) -> Warehouse:
        bill = make_bill(tmp_path / name, lines)
        if place == "files":
            return open_bill(bill, several_currencies=True)
        stand_in: StandIn = request.getfixturevalue("aws")
        if name == "payers":
            make_ready(stand_in, bill, table="billing.payers")
        else:
            load_bill(stand_in, bill, table=f"billing.{name}", bucket=f"{name}-bucket")
        money = {"currency__display": "EUR", "currency__rates": "rates.csv", "aws__quicksight_data_set": ""}
        return platform_on(stand_in, tmp_path, bill__table=f"billing.{name}", **money).warehouse

    bill = warehouse("payers", PAYERS)
    days = bill.source_days(SEP, OCT)
    assert [(part.currency, part.total) for part in days[SEP].parts] == [("EUR", 5), ("USD", 10)]
    assert (days[OCT].currency, days[OCT].total, days[OCT].parts) == ("EUR", 6, ())
    assert bill.account_currencies(SEP, OCT) == {SEP: {SHOP: "USD", DATA: "EUR"}, OCT: {DATA: "EUR"}}
    mixed = warehouse("mixed", ONE_ACCOUNT)
    mixed.source_days(SEP, SEP)
    with pytest.raises(BillError) as refused:
        mixed.account_currencies(SEP, SEP)
    for word in (SHOP, "USD", "EUR", str(SEP)):
        assert word in refused.value.what


def test_doctor_has_athena_check_how_currencies_are_asked(aws: StandIn, tmp_path: Path) -> None:
    """The statement is the one that a mixed day asks; a bill that may have one currency asks none."""
    make_ready(aws, make_bill(tmp_path / "bill", PAYERS), table="billing.payers")
    money = {"currency__display": "EUR", "currency__rates": "rates.csv", "aws__quicksight_data_set": ""}
    warehouse = platform_on(aws, tmp_path, bill__table="billing.payers", **money).warehouse
    warehouse.account_currencies(SEP, SEP)
    assert warehouse.statements(SEP)["currencies of the accounts"] == aws.athena.queries[-1].sql
    one = platform_on(aws, tmp_path, bill__table="billing.payers", bill__currency="USD").warehouse
    assert "currencies of the accounts" not in one.statements(SEP)


def of_bill(currency: str, *amounts: str) -> dict[date, SourceDay]:
    """A bill that has a day, with these lines."""
    total = sum(map(Decimal, amounts), Decimal())
    return {SEP: SourceDay(SEP, currency, len(amounts), total, Decimal(), {"Usage": total})}


def test_a_bill_that_sums_to_nothing_adds_no_currency_where_one_is_allowed() -> None:
    """Its charge and its credit are no amount that anybody could be shown in another currency."""
    both = {"usd": of_bill("USD", "10"), "eur": of_bill("EUR", "7", "-7")}
    (day,) = combined_days(both).values()
    assert (day.currency, day.lines, day.total, day.parts) == ("USD", 3, 10, ())
    (day,) = combined_days(both, several_currencies=True).values()
    assert [(part.currency, part.lines, part.total) for part in day.parts] == [("EUR", 2, 0), ("USD", 1, 10)]


def test_a_bill_that_names_no_currency_adds_none() -> None:
    """Lines of nothing alone: they are counted with the first."""
    without = {"usd": of_bill("USD", "10"), "free": of_bill("", "0")}
    (day,) = combined_days(without, several_currencies=True).values()
    assert (day.currency, day.lines, day.total, day.parts) == ("USD", 2, 10, ())
    (day,) = combined_days({**without, "eur": of_bill("EUR", "5")}, several_currencies=True).values()
    assert [(part.currency, part.lines, part.total) for part in day.parts] == [("EUR", 2, 5), ("USD", 1, 10)]


def test_a_day_is_held_to_the_bill_in_each_currency(tmp_path: Path) -> None:
    """The sum of both does not tell that an account stands in the other's; nor may the last decimal place differ."""
    bill = open_bill(make_bill(tmp_path / "bill", PAYERS), several_currencies=True)
    (day,) = split_by_day(bill.breakdown(SEP, SEP, account_map()))
    of_account, source = bill.account_currencies(SEP, SEP)[SEP], bill.source_days(SEP, SEP)[SEP]
    assert faults(replace(day, account_currencies=of_account), source) == {}
    exchanged = faults(replace(day, account_currencies={SHOP: "EUR", DATA: "USD"}), source)
    assert exchanged == {"totals_match_source": "the rows have 10 EUR, the bill has 5"}
    pico = Decimal("1e-12")
    other = [replace(part, total=part.total + by) for part, by in zip(source.parts, (pico, -pico), strict=True)]
    fault = faults(replace(day, account_currencies=of_account), replace(source, parts=tuple(other)))
    assert fault == {"totals_match_source": "the rows have 5 EUR, the bill has 5.000000000001"}


def test_a_day_without_a_rate_is_not_archived(tmp_path: Path) -> None:
    """The error names the month and the currency; with the rate, it is, and the archive is the same at any rate."""
    bill, archive = open_bill(make_bill(tmp_path / "bill", PAYERS), several_currencies=True), new_archive(tmp_path)
    without = shown_in_euro("month,currency,rate\n2025-08,USD,0.9\n")
    with pytest.raises(SettingsError) as refused:
        archive_days(bill, archive, [SEP], rules=ArchivingRules(display=without))
    assert "USD for 2025-09" in refused.value.what
    assert archive.days() == []
    facts = {"rules": ArchivingRules(display=shown_in_euro()), "now": NOW}
    done = archive_days(bill, archive, [SEP], **facts)
    assert done.refused == {}
    other = shown_in_euro("month,currency,rate\n2025-09,USD,0.5\n")
    again = archive_days(bill, archive, [SEP], **{**facts, "rules": ArchivingRules(display=other)}).published[SEP]
    assert not again.changed
    one, another = (display.archive(archive).describe(SEP) for display in (shown_in_euro(), other))
    assert one is not None
    assert another is not None
    assert (one.total, another.total) == (Decimal(14), Decimal(10))
    assert one.fingerprint != another.fingerprint  # so that what was made of it is known to be outdated


def test_what_is_left_out_stays_in_its_own_currency(tmp_path: Path) -> None:
    """It needs no rate: a day is shown whatever else the bill has. Days of older releases name it in the reason."""
    pounds, tax = line("5", start=at(SEP), currency="GBP"), line("2", start=at(SEP), category="Tax")
    lines = [dollars("10", SEP), pounds, tax, replace(tax, start=at(OCT)), dollars("1", OCT + timedelta(days=1))]
    rules = {"currency": "USD", "include_tax": False, "several_currencies": True}
    archive, display = new_archive(tmp_path), shown_in_euro("month,currency,rate\n2025-09,USD,0.9\n")
    bill = open_bill(make_bill(tmp_path / "bill", lines), **rules)
    archive_days(bill, archive, [SEP, OCT], rules=ArchivingRules(display=display), now=NOVEMBER)
    shown = {day: display.archive(archive).describe(day) for day in (SEP, OCT)}
    assert [(of.total, of.currency) for of in shown.values()] == [(9, "EUR"), (0, "EUR")]
    left_out = [left_out_of(json.loads(of.metadata["left_out"])) for of in shown.values()]
    of_tax = LeftOut("bill.include_tax", 1, Decimal(2), "USD")
    assert left_out == [(LeftOut("bill.currency is USD", 1, Decimal(5), "GBP"), of_tax), (of_tax,)]
    earlier = ["bill.currency is USD, these are GBP", 1, "5"]
    assert left_out_of([earlier]) == left_out[0][:1]


def test_what_the_bill_said_of_a_day_is_read_back_in_each_currency(tmp_path: Path) -> None:
    """`finops observe` shows two amounts, not the sum of their numbers."""
    archive, bill = new_archive(tmp_path), open_bill(make_bill(tmp_path / "bill", PAYERS), several_currencies=True)
    archive_days(bill, archive, [SEP], rules=ArchivingRules(display=shown_in_euro()), now=NOW)
    published = archive.describe(SEP)
    assert published is not None
    assert exact_of_bill(source_day(published)) == "5 EUR + 10 USD"


def test_a_restated_day_is_entered_in_the_currency_of_each_account(tmp_path: Path) -> None:
    """And shown at the rate of its month."""
    archive, rules = new_archive(tmp_path), ArchivingRules(display=shown_in_euro())
    for name, bill in (("one", PAYERS), ("other", [dollars("12", SEP), euros("5.5", SEP)])):
        warehouse = open_bill(make_bill(tmp_path / name, bill), several_currencies=True)
        archive_days(warehouse, archive, [SEP], rules=rules, now=NOW)
    ledger = restatements.read(archive)
    entries = {row["linkedaccount"]: (row["delta"], row["currency"]) for row in ledger.to_pylist()}
    assert entries == {SHOP: (Decimal(2), "USD"), DATA: (Decimal("0.5"), "EUR")}
    assert sorted(rules.display.restated(ledger)["delta"].to_pylist()) == [Decimal("0.5"), Decimal("1.8")]


def test_a_late_change_is_no_anomaly_in_the_currency_that_costs_are_shown_in(tmp_path: Path) -> None:
    """100 USD on each day, and on one 60 more, weeks later: that it costs 600 DKK more is all of it the late change."""
    days = days_between(SEP - timedelta(days=49), SEP)
    late = days[-10]
    months = sorted({f"{day:%Y-%m}" for day in days})
    (tmp_path / "rates.csv").write_text("month,currency,rate\n" + "".join(f"{month},USD,10\n" for month in months))
    bills = {
        name: make_bill(tmp_path / name, [dollars(cost if day == late else "100", day) for day in days])
        for name, cost in (("once", "100"), ("late", "160"))
    }
    new_archive(tmp_path / ".finops")
    home = {"FINOPS_HOME": str(tmp_path / ".finops"), "FINOPS_BILL__PATH": str(bills["late"])}
    money = {"FINOPS_CURRENCY__DISPLAY": "DKK", "FINOPS_CURRENCY__RATES": str(tmp_path / "rates.csv")}
    platform = build_platform(load_settings(home | money, folder=tmp_path))
    for bill in bills.values():
        archive_days(open_bill(bill), platform.archive, days, now=NOW)
    scored = platform.scoring.score([late], NOW)
    assert scored.cards[late].currency == "DKK"
    assert (scored.cards[late].scores[0].cost, scored.cards[late].episodes) == (1600, ())


def test_days_are_described_as_shown_by_what_is_kept_of_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that reads no rows reads the record of the month, and no day's object."""
    archive, display = new_archive(tmp_path), shown_in_euro()
    bill = open_bill(make_bill(tmp_path / "bill", PAYERS), several_currencies=True)
    archive_days(bill, archive, [SEP], rules=ArchivingRules(display=display), now=NOW)
    archive.history.costs([SEP])
    archive.history.keep()
    later = new_archive(tmp_path)
    monkeypatch.setattr(later, "describe", lambda day: pytest.fail(f"the object of {day} is read"))
    shown = display.archive(later)
    assert shown is display.archive(later), "one for all that show it"
    assert shown.history.describe([SEP])[SEP].total == Decimal(14)


def test_commands_say_in_which_currency_amounts_are(tmp_path: Path) -> None:
    """What has a value of a dimension is shown as the digest shows it; tables that are not converted are named."""
    tagged = replace(dollars("10", SEP), extra={"BillingAccountId": "111111111111", "Tags": '{"team": "web"}'})
    bill, keys = make_bill(tmp_path / "bill", [tagged, euros("5", SEP)]), ("tag:team",)
    (tmp_path / "rates.csv").write_text(RATES, encoding="utf-8")
    archive_days(open_bill(bill, dimensions=keys, several_currencies=True), new_archive(tmp_path), [SEP], now=NOW)
    settings = {"HOME": tmp_path, "BILL__PATH": bill, "DIMENSIONS__KEYS": "tag:team", "CURRENCY__DISPLAY": "EUR"}
    environ = {f"FINOPS_{name}": str(value) for name, value in {**settings, "CURRENCY__RATES": "rates.csv"}.items()}
    assert "tag:team: 64 % of 14.00 EUR has a value" in finops("doctor", cwd=tmp_path, now=NOW, **environ).output
    notice = finops("query", "SELECT 1", cwd=tmp_path, now=NOW, **environ).stderr
    tables = "ou_breakdown, ou_charges, dimension_breakdown, commitments, restatements and finops_daily_summary"
    assert tables in " ".join(notice.split())


def test_evidence_of_a_day_in_several_currencies_has_no_sum_of_them(tmp_path: Path) -> None:
    """Each amount stands for itself."""
    archive = new_archive(tmp_path)
    warehouse = open_bill(make_bill(tmp_path / "bill", PAYERS), several_currencies=True)
    archive_days(warehouse, archive, [SEP], rules=ArchivingRules(display=shown_in_euro()), now=NOW)
    asked = AskedBill({}, "not asked", "not asked", "")
    evidence, _ = make(archive, "2025-09", NOVEMBER, lambda _: "stable", asked)
    assert evidence.total is None
    assert evidence.days[-1]["total"] == "5 EUR + 10 USD"


# --- why a day moved ------------------------------------------------------------------------------------------------


def test_what_another_rate_makes_is_told_apart() -> None:
    """10 USD at 0.9 became 12 USD at 0.8: 9.00 EUR became 9.60; 1.60 is volume, and 1.00 less is the rate."""
    row = {"linkedaccount": SHOP, "service": EC2, "ou": "", "before": Decimal(10), "now": Decimal(12)}
    row |= dict.fromkeys(("there_before", "there_now", "used_before", "used_now"), True)
    row |= {name: Decimal() for name in OF_THE_BILL} | {"volume": Decimal(2)}
    sums = as_sums(pa.table({name: pa.array([value], _kind(value)) for name, value in row.items()}))
    rates = ExchangeRates("EUR", {("2025-09", "USD"): Decimal("0.9"), ("2025-10", "USD"): Decimal("0.8")})
    parts = parts_of("USD", {})
    [shown] = shown_sums(sums, (SEP, parts), (OCT, parts), rates).to_pylist()
    assert {name: shown[name] for name in ("before", "now", "volume", "exchange", "other")} == {
        "before": 9,
        "now": Decimal("9.6"),
        "volume": Decimal("1.6"),
        "exchange": -1,
        "other": 0,
    }


def _kind(value: object) -> pa.DataType | None:
    return MONEY if isinstance(value, Decimal) else None


# --- settings -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "word"),
    [
        ({"CURRENCY__DISPLAY": "EUR"}, "currency.rates"),
        ({"CURRENCY__RATES": "rates.csv"}, "currency.display"),
        ({"CURRENCY__DISPLAY": "euro", "CURRENCY__RATES": "rates.csv"}, "currency.display"),
    ],
)
def test_one_setting_without_the_other_is_refused(settings: Mapping[str, str], word: str, tmp_path: Path) -> None:
    """It would change nothing, or have no rates."""
    environ = {f"FINOPS_{name}": value for name, value in settings.items()} | {"FINOPS_HOME": str(tmp_path / "home")}
    with pytest.raises(SettingsError) as refused:
        build_platform(load_settings(environ, folder=tmp_path))
    assert word in refused.value.where


def test_quicksight_shows_the_billing_currency_and_is_refused_beside_another(aws: StandIn, tmp_path: Path) -> None:
    """Its data set has the archive's own rows: a sum over several currencies would be no money."""
    with pytest.raises(SettingsError) as refused:
        platform_on(aws, tmp_path, currency__display="EUR", currency__rates="rates.csv")
    assert "aws.quicksight_data_set" in refused.value.where

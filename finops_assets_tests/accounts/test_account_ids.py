"""An account id has one form, whatever wrote it: one table of cases, for Python and for the SQL on both engines."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pyarrow as pa
import pytest

from finops_assets.adapters.aws.athena import Athena
from finops_assets.adapters.aws.session import AwsSession
from finops_assets.adapters.shared.duck import athena_to_duckdb, connect
from finops_assets.core.accounts.account_ids import (
    IMPOSSIBLE,
    AccountIdError,
    account_id,
    account_id_sql,
    near_misses,
)
from finops_assets.core.accounts.account_map import read_accounts_csv
from finops_assets.core.errors import AccountsError, BillError
from finops_assets_tests.support.bills import account_map, line, make_bill, open_bill, read_rows, rows_of, write_rows
from standin.bills import setup
from standin.server import StandIn

ID = "012345678901"
GUID = "8f14e45f-ceea-467a-9575-0123456789ab"
REFUSED = None

CASES = [
    # as it is written, at AWS, where no provider is named, at another provider, why
    (ID, ID, ID, ID, "as AWS writes it"),
    ("111122223333", "111122223333", "111122223333", "111122223333", "as AWS writes most"),
    ("000000000000", "000000000000", "000000000000", "000000000000", "twelve zeros, as anonymised bills have them"),
    ("12345678901", ID, ID, "12345678901", "a spreadsheet dropped the zero"),
    ("123456789", "000123456789", "000123456789", "123456789", "three of them"),
    ("1.2345678901E+10", ID, ID, "1.2345678901E+10", "scientific, no digit lost"),
    ("1.2345678901e10", ID, ID, "1.2345678901e10", "as Java and Trino write a double"),
    ("1.11122223333E11", "111122223333", "111122223333", "1.11122223333E11", "twelve digits in scientific notation"),
    ("12345678901.0", ID, ID, "12345678901.0", "as pandas writes whole numbers beside nulls"),
    ("12345678901.00", ID, ID, "12345678901.00", "a decimal with a scale"),
    (" 012345678901 ", ID, ID, ID, "blanks around"),
    ("012345678901\u00a0", ID, ID, ID, "a blank that does not break"),
    ("0123-4567-8901", ID, ID, "0123-4567-8901", "as the console shows it"),
    ("0123 4567 8901", ID, ID, "0123 4567 8901", "the same with blanks"),
    ('="012345678901"', ID, ID, ID, "text for a spreadsheet"),
    ("'012345678901", ID, ID, ID, "text for a spreadsheet, by hand"),
    ("\u200b012345678901", ID, ID, ID, "a zero-width space before it"),
    ("0123\u200b45678901", ID, ID, ID, "a zero-width space inside"),
    ("\ufeff12345678901", ID, ID, "12345678901", "a byte order mark"),
    ("7", "7", "7", "7", "too few digits for an id that lost its zeros"),
    ("1.23457E+10", REFUSED, REFUSED, "1.23457E+10", "digits are lost"),
    ("1.23456789012E+10", REFUSED, REFUSED, "1.23456789012E+10", "not a whole number"),
    ("0", REFUSED, REFUSED, "0", "no account"),
    ("0.0", REFUSED, REFUSED, "0.0", "no account, either"),
    ("1234567890123", REFUSED, "1234567890123", "1234567890123", "13 digits: others have ids of 16"),
    ("1.2345678e11", REFUSED, REFUSED, "1.2345678e11", "12 characters that are a number of 12 digits"),
    ("0x1748760000", REFUSED, "0x1748760000", "0x1748760000", "12 characters that DuckDB takes for a number"),
    (GUID, REFUSED, GUID, GUID, "a subscription"),
    (f"/subscriptions/{GUID}", REFUSED, f"/subscriptions/{GUID}", f"/subscriptions/{GUID}", "its resource id"),
    ("-12345678901", REFUSED, "-12345678901", "-12345678901", "below zero"),
    ("   ", "none", "none", "none", "nothing but blanks"),
    ("", "none", "none", "none", "nothing"),
]
PROVIDERS = {True: "TRUE", None: "CAST(NULL AS BOOLEAN)", False: "FALSE"}


def in_python(text: str, is_aws: bool | None) -> str | None:
    try:
        return account_id(text, is_aws=is_aws) or "none"
    except AccountIdError:
        return REFUSED


def query() -> str:
    rows = ", ".join(f"({n}, '{case[0].replace(chr(39), chr(39) * 2)}')" for n, case in enumerate(CASES))
    ids = ", ".join(account_id_sql(["x"], is_aws, "'none'") for is_aws in PROVIDERS.values())
    return f"SELECT n, {ids} FROM (VALUES {rows}) AS t (n, x) ORDER BY n"


def in_duckdb(_: StandIn) -> list[tuple]:
    with closing(connect({})) as con:
        return con.execute(athena_to_duckdb(query())).fetchall()


def in_athena(aws: StandIn) -> list[tuple]:
    setup(aws)
    athena = Athena(AwsSession(endpoint_url=aws.url), workgroup="finops")
    return list(athena.rows(query(), "ids")[1])


@pytest.mark.parametrize(("text", "aws", "unknown", "other", "reason"), CASES)
def test_an_id_has_one_form(text: str, aws: str | None, unknown: str | None, other: str, reason: str) -> None:
    """In the map, an id is what it is in the bill."""
    assert [in_python(text, is_aws) for is_aws in PROVIDERS] == [aws, unknown, other], reason


@pytest.mark.parametrize("engine", [in_duckdb, in_athena])
def test_the_engines_have_the_same_rule(engine: Callable[[StandIn], list[tuple]], aws: StandIn) -> None:
    """Line by line of the table; an id that cannot be is marked, with the text that the bill has."""
    for (_, *ids), (text, *expected, reason) in zip(engine(aws), CASES, strict=True):
        assert ids == [f"{IMPOSSIBLE}{text}" if one is REFUSED else one for one in expected], reason


def test_the_map_and_the_bill_meet(tmp_path: Path) -> None:
    """A map and a bill that two spreadsheets have saved name the same account."""
    (membership,) = read_accounts_csv(b'account_id,account_name,ou_path\n"=""012345678901""",beta,Prod\n', "a.csv")
    bill = make_bill(tmp_path, [line(1, account="1.2345678901E+10")], "cur2", "csv")
    assert read_rows(open_bill(bill))[0][3] == membership.account_id


def test_one_account_in_two_forms_is_in_the_map_twice() -> None:
    """So it is refused, as any other account that is there twice."""
    rows = b"account_id,account_name,ou_path\n012345678901,beta,Prod\n12345678901,beta,Dev\n"
    with pytest.raises(AccountsError, match=r"lines 2 and 3: account 012345678901 is there twice"):
        read_accounts_csv(rows, "accounts.csv")


def test_an_id_that_lost_its_digits_is_refused_in_the_map() -> None:
    """With the line that it is on."""
    with pytest.raises(AccountsError) as caught:
        read_accounts_csv(b"account_id,account_name,ou_path\n1.23457E+10,beta,Prod\n", "accounts.csv")
    assert caught.value.where == "accounts.csv, line 2"
    assert "1.23457E+10" in caught.value.what


@pytest.mark.parametrize("fmt", ["cur2", "cur", "focus", "summary"])
def test_an_id_that_lost_its_digits_is_refused_in_the_bill(tmp_path: Path, fmt: str) -> None:
    """With its file and column."""
    path = make_bill(tmp_path, [line(1), line(2, account="1.23457E+10")], fmt, "csv")
    with pytest.raises(BillError) as caught:
        read_rows(open_bill(path))
    assert "1.23457E+10" in caught.value.what
    assert caught.value.where.startswith(f"{path}, column ")


@pytest.mark.parametrize(
    ("provider", "account", "expected"),
    [
        ("AWS", "12345678901", ID),
        ("Microsoft", "12345678901", "12345678901"),
        ("Microsoft", f" /subscriptions/{GUID}", f"/subscriptions/{GUID}"),
        ("", "12345678901", ID),
        ("", GUID, GUID),
    ],
)
def test_ids_of_other_providers_are_no_numbers(tmp_path: Path, provider: str, account: str, expected: str) -> None:
    """A FOCUS export of several providers has each one's own."""
    row = {**rows_of([line(1, account=account)], "focus")[0], "ProviderName": provider}
    assert read_rows(open_bill(write_rows(tmp_path / "bill.csv", [row])))[0][3] == expected


def test_one_month_has_numbers_and_the_next_has_text(tmp_path: Path) -> None:
    """Two files of one bill that disagree about the column's type are one account."""
    folder = tmp_path / "bill"
    folder.mkdir()
    for name, type_, value in (("1", pa.int64(), 12345678901), ("2", pa.string(), ID)):
        row = {**rows_of([line(1)], "focus")[0], "SubAccountId": value}
        write_rows(folder / f"{name}.parquet", [row], {"SubAccountId": type_})
    rows = read_rows(open_bill(folder))
    assert [(row[3], row[4]) for row in rows] == [(ID, 2.0)]


@pytest.mark.parametrize(
    ("account", "expected"),
    [
        ("012345678901", ""),
        ("123456789010", "012345678901"),
        ("012345678902", "012345678901"),
        ("013245678901", "012345678901"),
        ("01234567890", "012345678901"),
        ("0123456778901", "012345678901"),
        ("999999999999", ""),
        ("012345678955", ""),
        (GUID.upper(), GUID),
    ],
)
def test_a_near_miss_is_suggested(account: str, expected: str) -> None:
    """One digit, zeros at the ends, or two neighbours that changed places; nothing further off."""
    assert near_misses([account], [GUID, ID]).get(account, "") == expected


def test_a_number_of_the_map_is_known_as_another_providers_too(tmp_path: Path) -> None:
    """A map does not say whose an account is: it may be AWS's without its zeros, or text of which nothing is lost."""
    lines = "account_id,account_name,ou_path\n8611537,azure,Cloud\n111122223333,shop,Dev\n"
    memberships = read_accounts_csv(lines.encode(), "accounts.csv")
    assert [(each.account_id, each.ou_path) for each in memberships] == [
        ("000008611537", "Cloud"),
        ("8611537", "Cloud"),
        ("111122223333", "Dev"),
    ]
    extra = {"ProviderName": "Microsoft", "BillingAccountId": "tenant-1"}
    bill = make_bill(tmp_path / "bill", [line(1, account="8611537", extra=extra)])
    [row] = read_rows(open_bill(bill), ou_map=account_map(*memberships))
    assert (row[1], row[3]) == ("Cloud", "8611537")

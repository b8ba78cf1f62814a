"""The account-to-OU map: what accounts.csv may say, and which OU a charge of a day falls to."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from finops_assets.adapters.shared.accounts_file import AccountsFile
from finops_assets.core.accounts.account_map import (
    ALWAYS,
    FOREVER,
    Membership,
    counts,
    from_bill,
    read_accounts_csv,
    to_parquet,
)
from finops_assets.core.errors import AccountsError, SettingsError
from finops_assets.core.schemas import ACCOUNT_OU_MAP
from finops_assets_tests.support.bills import (
    ACCOUNT,
    DAY,
    PAYER,
    account_map,
    at,
    line,
    make_bill,
    open_bill,
    read_rows,
)

HEADER = "account_id,account_name,ou_path,valid_from,valid_to\n"
OTHER = "444455556666"


def read(text: str) -> list[Membership]:
    return read_accounts_csv(text.encode(), "accounts.csv")


def memberships(*rows: str) -> list[tuple[str, str, date, date]]:
    return [(m.account_id, m.ou_path, m.valid_from, m.valid_to) for m in read(HEADER + "\n".join(rows))]


# --- reading accounts.csv -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("account_id,account_name,ou_path\n1,a,Eng/Shop\n", "the three columns that are needed"),
        ("ou_path,account_id,account_name\nEng/Shop,1,a\n", "in any order"),
        ("Account_ID , ACCOUNT_NAME,ou_path\n1,a,Eng/Shop\n", "in any case, with spaces"),
        ("\ufeffaccount_id,account_name,ou_path\r\n1,a,Eng/Shop\r\n", "as Excel saves it"),
        ("account_id,account_name,ou_path,owner\n1,a,Eng/Shop,ann\n", "with columns of somebody's own"),
        (HEADER + "1,a, Eng / Shop ,,\n\n,,,,\n", "with spaces, an empty line and a line of commas"),
        (HEADER + "1,a,/Eng//Shop/,,\n", "with slashes to spare"),
    ],
)
def test_accounts_csv_is_read_as_people_write_it(text: str, reason: str) -> None:
    """Spreadsheets' ways of writing the same map give the same map."""
    assert [(m.account_id, m.ou_path) for m in read(text)] == [("1", "Eng/Shop")], reason


def test_names_may_hold_anything(tmp_path: Path) -> None:
    """Commas, quotes, line breaks and any script are part of a name."""
    (found,) = read(HEADER + '1,"a ""big"", one\nin Köln",Büro/東京,,\n')
    assert (found.account_name, found.ou_path) == ('a "big", one\nin Köln', "Büro/東京")


def test_a_row_holds_from_its_date_until_the_next_one() -> None:
    """valid_from is inclusive, valid_to exclusive; without them a row holds always, or until the account's next row."""
    assert memberships("1,a,Old,,", "1,a,New,2025-09-10,") == [
        ("1", "Old", ALWAYS, date(2025, 9, 10)),
        ("1", "New", date(2025, 9, 10), FOREVER),
    ]
    assert memberships("1,a,New,2025-09-10,", "1,a,Old,,2025-09-01") == [
        ("1", "Old", ALWAYS, date(2025, 9, 1)),
        ("1", "New", date(2025, 9, 10), FOREVER),
    ]


@pytest.mark.parametrize(
    ("text", "says", "reason"),
    [
        ("", "accounts.csv: has no column account_id, account_name, ou_path", "an empty file"),
        ("account_id;account_name;ou_path\n", "accounts.csv: has no column account_id", "semicolons"),
        ("account_id,account_name\n1,a\n", "accounts.csv: has no column ou_path", "a missing column"),
        ("account_id,account_name,ou_path,ou_path\n1,a,A,B\n", "accounts.csv: has the column ou_path twice", "doubled"),
        (HEADER, "accounts.csv: names no account", "a header alone"),
        (HEADER + ",,,,\n", "accounts.csv: names no account", "nothing but commas"),
        (HEADER + "1,a\n", "accounts.csv, line 2: has more or fewer values", "too few values"),
        (HEADER + "1,a,b,,,x\n", "accounts.csv, line 2: has more or fewer values", "too many values"),
        (HEADER + "1,a,Eng,,\n,b,Eng,,\n", "accounts.csv, line 3: account_id is empty", "no account"),
        (HEADER + "1,a, / ,,\n", "accounts.csv, line 2: ou_path is empty", "no OU"),
        (HEADER + "1,a,Eng,soon,\n", "accounts.csv, line 2: valid_from 'soon' is not a date", "not a date"),
        (HEADER + "1,a,Eng,,2025-02-30\n", "accounts.csv, line 2: valid_to '2025-02-30' is not a date", "no such day"),
        (
            HEADER + "1,a,Eng,2025-09-02,2025-09-01\n",
            "accounts.csv, line 2: valid_to is not after valid_from",
            "swapped",
        ),
        (HEADER + "1,a,Eng,2025-09-01,2025-09-01\n", "line 2: valid_to is not after valid_from", "no day at all"),
        (HEADER + "1,a,A,,\n2,b,B,,\n1,a,C,,\n", "accounts.csv, lines 2 and 4: account 1 is there twice", "doubled"),
        (
            HEADER + "1,a,A,2025-09-01,\n1,a,B,2025-09-01,\n",
            "account 1 is there twice from 2025-09-01",
            "one day, two OUs",
        ),
        (
            HEADER + "1,a,A,2025-01-01,2025-07-01\n1,a,B,2025-06-01,\n",
            "lines 2 and 3: account 1 is in A until 2025-07-01 and in B from 2025-06-01: the dates overlap",
            "overlapping dates",
        ),
        (
            HEADER + "1,a,A,,2025-12-31\n1,a,B,2025-02-01,2025-03-01\n1,a,C,2025-05-01,2025-06-01\n",
            "lines 2 and 3: account 1 is in A until 2025-12-31 and in B from 2025-02-01: the dates overlap",
            "one around the others",
        ),
        (HEADER + '1,"a,Eng,,\n', "accounts.csv, line 2: is not CSV", "an unclosed quote"),
    ],
)
def test_a_map_that_contradicts_itself_is_refused(text: str, says: str, reason: str) -> None:
    """The error names the file, the line and what to do; money never falls to the wrong OU in silence."""
    with pytest.raises(AccountsError) as caught:
        read(text)
    assert says in str(caught.value), reason
    assert caught.value.fix


def test_a_map_that_is_not_utf8_is_refused() -> None:
    """A file in Latin-1 is named."""
    with pytest.raises(AccountsError, match=r"accounts\.csv: is not UTF-8.* Save it as UTF-8"):
        read_accounts_csv((HEADER + "1,Café,Eng,,\n").encode("latin-1"), "accounts.csv")


# --- the map as it is looked up -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("level", "ous"),
    [("full", ["A/B/C", "D"]), (1, ["A", "D"]), (2, ["A/B", "D"]), (3, ["A/B/C", "D"])],
)
def test_the_path_is_cut_to_the_level_shown(level: str | int, ous: list[str]) -> None:
    """A level is counted from the root; a shorter path is shown whole, and the whole path is kept beside it."""
    table = account_map(Membership("1", "a", "A/B/C"), Membership("2", "b", "D"), ou_level=level)
    assert table.schema == ACCOUNT_OU_MAP
    assert table.column("ou").to_pylist() == ous
    assert table.column("ou_path").to_pylist() == ["A/B/C", "D"]


def test_a_level_below_every_ou_is_refused() -> None:
    """A level that no OU has is a mistake in the settings, which is named."""
    with pytest.raises(SettingsError) as caught:
        account_map(Membership("1", "a", "A/B"), ou_level=3)
    assert str(caught.value) == (
        "accounts.ou_level (FINOPS_ACCOUNTS__OU_LEVEL): no OU is 3 levels deep; the deepest has 2. "
        "Set it to full or to a number from 1 to 2."
    )


def test_the_bills_own_accounts_are_unassigned(tmp_path: Path) -> None:
    """Without accounts.csv every account of the bill is there by its name, Unassigned, whatever the level."""
    warehouse = open_bill(make_bill(tmp_path, [line(1), line(2, account=OTHER, extra={"SubAccountName": None})]))
    assert [(m.account_id, m.account_name, m.ou_path) for m in from_bill(warehouse.accounts())] == [
        (ACCOUNT, "shop-prod", "Unassigned"),
        (OTHER, "", "Unassigned"),
    ]
    table = AccountsFile("", warehouse, ou_level=3, history="as_was").load().table
    assert table.column("ou").to_pylist() == ["Unassigned"] * 2


def test_a_missing_accounts_file_is_named(tmp_path: Path) -> None:
    """A path that is set must be there: a silent fall back would call everything Unassigned."""
    warehouse = open_bill(make_bill(tmp_path, [line(1)]))
    with pytest.raises(SettingsError, match=r"accounts.path \(FINOPS_ACCOUNTS__PATH\): there is no such file: .*gone"):
        AccountsFile(str(tmp_path / "gone.csv"), warehouse, ou_level="full", history="as_was").load()


def test_the_map_is_read_each_time(tmp_path: Path) -> None:
    """An account that is added to accounts.csv is there at the next look."""
    file = tmp_path / "accounts.csv"
    accounts = AccountsFile(str(file), open_bill(make_bill(tmp_path, [line(1)])), ou_level="full", history="as_was")
    for ou in ("Old", "New"):
        file.write_text(f"{HEADER}{ACCOUNT},a,{ou},,\n", encoding="utf-8")
        assert accounts.load().table.column("ou").to_pylist() == [ou]


def test_accounts_are_counted_by_their_newest_ou() -> None:
    """An account that moved counts once, where it is now."""
    table = account_map(
        Membership("1", "a", "Old", valid_to=DAY),
        Membership("1", "a", "New", valid_from=DAY),
        Membership("2", "b", "Old"),
    )
    assert counts(table) == {"New": 1, "Old": 1}


def test_the_same_map_has_the_same_bytes(tmp_path: Path) -> None:
    """Publishing the map again changes nothing, and what is published is the map."""
    table = account_map()
    assert to_parquet(table) == to_parquet(account_map())
    (tmp_path / "map.parquet").write_bytes(to_parquet(table))
    assert pq.read_table(tmp_path / "map.parquet").equals(table)


# --- which OU a charge falls to -----------------------------------------------------------------------------------

MOVE = DAY
MOVED = (
    Membership(ACCOUNT, "shop", "Old", valid_from=DAY - timedelta(days=1), valid_to=MOVE),
    Membership(ACCOUNT, "shop", "New", valid_from=MOVE, valid_to=DAY + timedelta(days=1)),
)
DAYS = [DAY + timedelta(days=i) for i in (-2, -1, 0, 1)]


@pytest.mark.parametrize(
    ("history", "ous", "reason"),
    [
        ("as_was", ["Unassigned", "Old", "New", "Unassigned"], "each day by the OU of that day, from inclusive"),
        ("as_is", ["New", "New", "New", "New"], "every day by the newest OU"),
    ],
)
def test_a_charge_falls_to_the_ou_of_its_day(tmp_path: Path, history: str, ous: list[str], reason: str) -> None:
    """An account that moves takes its later days along, and its earlier ones only if that is set."""
    path = make_bill(tmp_path, [line(10**i, start=at(day, hour=23)) for i, day in enumerate(DAYS)])
    rows = read_rows(open_bill(path), DAYS[0], DAYS[-1], account_map(*MOVED, history=history))
    assert [(row[0], row[1], row[4]) for row in rows] == [
        (day, ou, 10**i) for i, (day, ou) in enumerate(zip(DAYS, ous, strict=True))
    ], reason


def test_money_of_accounts_that_nobody_knows_is_unassigned(tmp_path: Path) -> None:
    """No charge is lost because the map lacks its account: tax of the payer, a new account, none at all."""
    lines = [line(1), line(2, account=OTHER), line(4, account=None)]
    rows = read_rows(open_bill(make_bill(tmp_path, lines)))
    assert [row[1:2] + row[3:] for row in rows] == [
        ("Engineering", ACCOUNT, 1),
        ("Unassigned", OTHER, 2),
        ("Unassigned", PAYER, 4),
    ]


def test_ous_that_are_cut_to_one_name_are_one_ou(tmp_path: Path) -> None:
    """Two OUs below one that is shown add up in it, account by account."""
    lines = [line(1), line(2, account=OTHER)]
    ou_map = account_map(Membership(ACCOUNT, "a", "Eng/Shop"), Membership(OTHER, "b", "Eng/Search"), ou_level=1)
    rows = read_rows(open_bill(make_bill(tmp_path, lines)), ou_map=ou_map)
    assert [(row[1], row[3], row[4]) for row in rows] == [("Eng", ACCOUNT, 1), ("Eng", OTHER, 2)]

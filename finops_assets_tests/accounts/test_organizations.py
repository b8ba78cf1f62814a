"""Who owns what, asked of AWS Organizations: the whole tree, its history, and what is shown when nobody answers."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from datetime import date, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from finops_assets.adapters.aws.accounts import HISTORY_PATH, SNAPSHOT_PATH, OrganizationsAccounts
from finops_assets.adapters.aws.session import AwsSession
from finops_assets.adapters.shared.accounts_file import AccountsFile
from finops_assets.adapters.shared.archive import ObjectArchive, folder_store
from finops_assets.core.accounts.account_map import (
    ALWAYS,
    FOREVER,
    Membership,
    merge_snapshot,
    read_accounts_csv,
    to_parquet,
    write_accounts_csv,
)
from finops_assets.core.errors import AccountsError, FinopsError, SettingsError
from finops_assets.core.ports import Accounts
from finops_assets.core.schemas import ACCOUNT_MAP_PATH, ACCOUNT_OU_MAP
from finops_assets.core.values import AccountMap
from standin.organizations import ROOT
from standin.server import StandIn

MONDAY, TUESDAY, WEDNESDAY = date(2025, 9, 8), date(2025, 9, 9), date(2025, 9, 10)
SHOP, DATA, MANAGEMENT = "111122223333", "444455556666", StandIn.account


# --- how a snapshot becomes history -------------------------------------------------------------------------------

Looks = list[tuple[date, dict[str, str]]]


def history_of(looks: Looks, history: list[Membership] | None = None) -> list[tuple[str, str, date, date]]:
    """The history after these looks at the organization, each an {account: OU}."""
    rows = history or []
    for day, ou_of in looks:
        rows = merge_snapshot(rows, [Membership(account, account, ou) for account, ou in ou_of.items()], day)
    return [(row.account_id, row.ou_path, row.valid_from, row.valid_to) for row in rows]


@pytest.mark.parametrize(
    ("looks", "expected", "reason"),
    [
        ([(MONDAY, {"1": "A"})], [("1", "A", ALWAYS, FOREVER)], "the first look is all that is known of the past"),
        (
            [(MONDAY, {"1": "A"}), (TUESDAY, {"1": "A", "2": "B"})],
            [("1", "A", ALWAYS, FOREVER), ("2", "B", ALWAYS, FOREVER)],
            "an account that is new has its charges from before the look",
        ),
        (
            [(MONDAY, {"1": "A"}), (WEDNESDAY, {"1": "B"})],
            [("1", "A", ALWAYS, WEDNESDAY), ("1", "B", WEDNESDAY, FOREVER)],
            "a move holds from the day on which it is first seen",
        ),
        (
            [(MONDAY, {"1": "A"}), (TUESDAY, {"1": "B"}), (WEDNESDAY, {"1": "A"})],
            [("1", "A", ALWAYS, TUESDAY), ("1", "B", TUESDAY, WEDNESDAY), ("1", "A", WEDNESDAY, FOREVER)],
            "there and back are two moves",
        ),
        (
            [(MONDAY, {"1": "A/X", "2": "A/X"}), (TUESDAY, {"1": "A/Y", "2": "A/Y"})],
            [
                ("1", "A/X", ALWAYS, TUESDAY),
                ("1", "A/Y", TUESDAY, FOREVER),
                ("2", "A/X", ALWAYS, TUESDAY),
                ("2", "A/Y", TUESDAY, FOREVER),
            ],
            "a renamed OU moves its accounts",
        ),
        (
            [(MONDAY, {"1": "A", "2": "B"}), (TUESDAY, {"1": "A"})],
            [("1", "A", ALWAYS, FOREVER), ("2", "B", ALWAYS, FOREVER)],
            "late charges of an account that left fall where it was",
        ),
        (
            [(MONDAY, {"1": "A"}), (TUESDAY, {}), (WEDNESDAY, {"1": "B"})],
            [("1", "A", ALWAYS, WEDNESDAY), ("1", "B", WEDNESDAY, FOREVER)],
            "an account that comes back elsewhere has moved",
        ),
        (
            [(MONDAY, {"1": "A"}), (TUESDAY, {"1": "B"}), (TUESDAY, {"1": "C"})],
            [("1", "A", ALWAYS, TUESDAY), ("1", "C", TUESDAY, FOREVER)],
            "of two looks on a day the later one holds",
        ),
        (
            [(MONDAY, {"1": "A"}), (TUESDAY, {"1": "B"}), (TUESDAY, {"1": "A"})],
            [("1", "A", ALWAYS, FOREVER)],
            "a move that was taken back on its day was none",
        ),
        (
            [(MONDAY, {"1": "A"}), (MONDAY, {"1": "B"})],
            [("1", "A", ALWAYS, MONDAY), ("1", "B", MONDAY, FOREVER)],
            "the second look on the very first day",
        ),
    ],
)
def test_looks_at_the_organization_become_history(looks: Looks, expected: list[tuple], reason: str) -> None:
    """Each day of the past keeps the OU that was seen on it, and no membership is without a day."""
    assert history_of(looks) == expected, reason
    assert history_of([*looks, looks[-1]]) == expected, "the same look again changes nothing"


@pytest.mark.parametrize(
    ("written", "expected", "reason"),
    [
        (
            [Membership("1", "1", "A", valid_from=TUESDAY)],
            [("1", "B", TUESDAY, FOREVER)],
            "a beginning of the same day is replaced",
        ),
        (
            [Membership("1", "1", "A", valid_to=MONDAY)],
            [("1", "A", ALWAYS, MONDAY), ("1", "B", TUESDAY, FOREVER)],
            "an end of before stays, and so does the gap",
        ),
        (
            [Membership("1", "1", "B", valid_to=MONDAY)],
            [("1", "B", ALWAYS, MONDAY), ("1", "B", TUESDAY, FOREVER)],
            "back in the same OU, with the gap",
        ),
        (
            [Membership("1", "1", "A", valid_to=WEDNESDAY)],
            [("1", "A", ALWAYS, TUESDAY), ("1", "B", TUESDAY, FOREVER)],
            "what is seen comes before what was planned",
        ),
    ],
)
def test_dates_that_people_wrote_into_the_history_are_kept(
    written: list[Membership], expected: list[tuple], reason: str
) -> None:
    """A history that was mended by hand goes on from there."""
    assert history_of([(TUESDAY, {"1": "B"})], written) == expected, reason


def test_a_renamed_account_stays_where_it_is() -> None:
    """The newest membership takes the new name; no move is invented, and the old membership keeps what it was."""
    history = [Membership("1", "old", "A", valid_to=TUESDAY), Membership("1", "old", "B", valid_from=TUESDAY)]
    merged = merge_snapshot(history, [Membership("1", "new", "B")], WEDNESDAY)
    assert [(row.account_name, row.ou_path) for row in merged] == [("old", "A"), ("new", "B")]
    assert merged[-1].valid_from == TUESDAY


@pytest.mark.parametrize("last", [ALWAYS, WEDNESDAY], ids=["a move is newer", "a look is newer"])
def test_a_look_from_before_the_last_one_is_refused(last: date) -> None:
    """A clock that was set back does not rewrite the past: the error names both days and what to do."""
    history = [Membership("1", "a", "A", valid_to=WEDNESDAY), Membership("1", "a", "B", valid_from=WEDNESDAY)]
    with pytest.raises(AccountsError, match="a snapshot of 2025-09-09 cannot follow one of 2025-09-10") as caught:
        merge_snapshot(history if last == ALWAYS else history[:1], [Membership("1", "a", "C")], TUESDAY, last=last)
    assert caught.value.fix


def test_a_history_is_read_back_as_it_was_written() -> None:
    """Commas, quotes, any script and open ends survive; the same history has the same bytes, in whatever order."""
    rows = [
        Membership("1", 'a "big", one', "Büro/東京", valid_to=TUESDAY),
        Membership("1", "neu", "R\N{DIVISION SLASH}D", valid_from=TUESDAY, valid_to=WEDNESDAY),
        Membership("2", "", "Root"),
    ]
    assert read_accounts_csv(write_accounts_csv(rows), "x") == rows
    assert write_accounts_csv(reversed(rows)) == write_accounts_csv(rows)
    assert write_accounts_csv(rows).startswith(b"account_id,account_name,ou_path,valid_from,valid_to\r\n")


# --- the organization itself --------------------------------------------------------------------------------------


class Hasty(AwsSession):
    """Gives up at the first refusal, so that no test waits out AWS's pauses."""

    def __init__(self, stand_in: StandIn) -> None:
        super().__init__(endpoint_url=stand_in.url)
        self._stand_in = stand_in

    def client(self, service: str, role_arn: str = "") -> Any:
        return self._stand_in.client(service, retries={"total_max_attempts": 1})


class RecordingArchive(ObjectArchive):
    """A folder that remembers what was put into it."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder_store(str(folder)))
        self.written: list[str] = []

    def put(self, path: str, data: bytes) -> str:
        self.written.append(path)
        return super().put(path, data)


@pytest.fixture
def archive(tmp_path: Path) -> RecordingArchive:
    return RecordingArchive(tmp_path / "archive")


Load = Callable[..., AccountMap]


@pytest.fixture
def load(session: AwsSession, archive: RecordingArchive) -> Load:
    """Look at the organization on a day."""

    def look(
        day: date = MONDAY,
        *,
        of: AwsSession = session,
        role_arn: str = "",
        ou_level: str | int = "full",
        tags: Sequence[str] = (),
    ) -> AccountMap:
        accounts = OrganizationsAccounts(
            of, archive, ou_level=ou_level, history="as_was", tags=tags, role_arn=role_arn, today=lambda: day
        )
        return accounts.load()

    return look


def ous(found: AccountMap) -> dict[str, str]:
    """Account -> newest OU."""
    return {row["account_id"]: row["ou_path"] for row in found.table.to_pylist()}


def test_the_whole_tree_is_walked(aws: StandIn, load: Load) -> None:
    """25 OUs and 45 accounts in one place, empty pages on the way: pages of 20 hide none of them."""
    aws.organizations.grow({f"OU {n:02}": {f"{n:012}": f"account {n}"} for n in range(1, 26)})
    aws.organizations.grow({"Many": {f"{n:012}": f"account {n}" for n in range(100, 145)}})
    aws.organizations.empty_page_every = 2
    found = load()
    assert found.table.schema == ACCOUNT_OU_MAP
    expected = {f"{n:012}": f"OU {n:02}" for n in range(1, 26)} | {f"{n:012}": "Many" for n in range(100, 145)}
    assert ous(found) == expected | {MANAGEMENT: "Root"}
    assert (found.facts["OUs"], found.facts["accounts in the organization"]) == ("26", "71")
    assert found.outdated == ""


def test_names_are_what_people_gave_them(aws: StandIn, load: Load, archive: RecordingArchive) -> None:
    """Nested paths, any script, and a slash in a name that must not become a level."""
    aws.organizations.grow({"Büro": {'東京, "HQ"': {SHOP: 'Café, "Süd"\nWest '}}})
    aws.organizations.rename_ou('Büro/東京, "HQ"', " R/D ")
    for day in (MONDAY, TUESDAY):
        rows = {row["account_id"]: row for row in load(day).table.to_pylist()}
        assert rows[SHOP]["ou_path"] == "Büro/R\N{DIVISION SLASH}D"
        assert rows[SHOP]["account_name"] == 'Café, "Süd" West'
    assert archive.written.count(HISTORY_PATH) == 1, "what was written is read back as it was seen"


def test_the_path_is_cut_to_the_level_shown(aws: StandIn, load: Load) -> None:
    """The level counts from the root, and one that no OU has is a mistake in the settings."""
    aws.organizations.grow({"Eng": {"Shop": {SHOP: "shop"}}})
    shown = {row["account_id"]: row["ou"] for row in load(ou_level=1).table.to_pylist()}
    assert shown == {SHOP: "Eng", MANAGEMENT: "Root"}
    with pytest.raises(SettingsError, match="no OU is 3 levels deep"):
        load(ou_level=3)


def test_tags_of_accounts_are_kept_from_the_day_on_which_they_change(aws: StandIn, load: Load) -> None:
    """One that is new to the history has its value since always; nobody is asked where none is wanted."""
    aws.organizations.grow({"Eng": {SHOP: "shop"}})
    aws.organizations.tags[SHOP] = {"unit": "Retail", "other": "x"}
    assert load(MONDAY).table.schema == ACCOUNT_OU_MAP
    assert aws.calls.count("organizations", "ListTagsForResource") == 0

    def units(day: date) -> list[tuple[date, date, str | None]]:
        rows = [row for row in load(day, tags=("unit",)).table.to_pylist() if row["account_id"] == SHOP]
        return [(row["valid_from"], row["valid_to"], row["unit"]) for row in rows]

    assert units(MONDAY) == [(ALWAYS, FOREVER, "Retail")]
    aws.organizations.tags[SHOP] = {"unit": "Commerce"}
    assert units(WEDNESDAY) == [(ALWAYS, WEDNESDAY, "Retail"), (WEDNESDAY, FOREVER, "Commerce")]
    aws.organizations.tags[SHOP] = {}
    thursday = WEDNESDAY + timedelta(days=1)
    assert units(thursday)[1:] == [(WEDNESDAY, thursday, "Commerce"), (thursday, FOREVER, None)]


def test_capitals_of_a_tag_do_not_matter(aws: StandIn, load: Load) -> None:
    """Columns of tables have none; of two tags that differ in them alone, the one in lower case counts."""
    aws.organizations.grow({"Eng": {SHOP: "shop", DATA: "data"}})
    aws.organizations.tags = {SHOP: {"Cost_Center": "7"}, DATA: {"cost_center": "8", "COST_CENTER": "9"}}
    for day in (MONDAY, TUESDAY):
        rows = load(day, tags=("cost_center",)).table.to_pylist()
        assert {row["account_id"]: row["cost_center"] for row in rows} == {SHOP: "7", DATA: "8", MANAGEMENT: None}


@pytest.mark.parametrize("fields", [("State",), ("Status",), ("State", "Status")])
def test_closed_accounts_stay_and_are_counted(aws: StandIn, load: Load, fields: tuple[str, ...]) -> None:
    """The bill may still name them; AWS tells their state in a field that has changed its name."""
    aws.organizations.state_fields = fields
    aws.organizations.add_account(SHOP, "shop", "Eng", state="SUSPENDED")
    aws.organizations.add_account(DATA, "data", "Eng", state="PENDING_CLOSURE")
    found = load()
    assert ous(found) == {SHOP: "Eng", DATA: "Eng", MANAGEMENT: "Root"}
    assert found.facts["accounts not active"] == "1 pending closure, 1 suspended"


def test_the_history_is_kept_beside_the_published_map(aws: StandIn, load: Load, archive: RecordingArchive) -> None:
    """A move is dated and kept as an accounts.csv, outside the folder that Athena reads as the map's table."""
    aws.organizations.grow({"Eng": {SHOP: "shop"}})
    load(MONDAY)
    aws.organizations.move_account(SHOP, "Data")
    load(WEDNESDAY)
    rows = read_accounts_csv(archive.get(HISTORY_PATH), HISTORY_PATH)
    assert [(row.ou_path, row.valid_from, row.valid_to) for row in rows if row.account_id == SHOP] == [
        ("Eng", ALWAYS, WEDNESDAY),
        ("Data", WEDNESDAY, FOREVER),
    ]
    table_folder = ACCOUNT_MAP_PATH.rpartition("/")[0]
    assert not any(path.startswith(table_folder) for path in archive.written)


def test_nothing_is_written_that_did_not_change(aws: StandIn, load: Load, archive: RecordingArchive) -> None:
    """The same organization again writes nothing on the same day, and on the next day only that it was looked at."""
    first = load(MONDAY)
    assert archive.written == [HISTORY_PATH, SNAPSHOT_PATH]
    assert load(MONDAY).table.equals(first.table)
    assert archive.written == [HISTORY_PATH, SNAPSHOT_PATH]
    load(TUESDAY)
    assert archive.written == [HISTORY_PATH, SNAPSHOT_PATH, SNAPSHOT_PATH]
    assert json.loads(archive.get(SNAPSHOT_PATH))["day"] == "2025-09-09"


def test_throttling_is_survived(aws: StandIn, load: Load) -> None:
    """Organizations throttles from a few hundred accounts on: calls are tried again, and nothing is missed."""
    aws.organizations.grow({"Eng": {SHOP: "shop"}})
    aws.faults.fail("organizations", "ListAccountsForParent", code="TooManyRequestsException", skip=1)
    aws.faults.fail("organizations", "ListRoots", code="TooManyRequestsException")
    found = load()
    assert ous(found) == {SHOP: "Eng", MANAGEMENT: "Root"}
    assert found.outdated == ""


def test_an_account_that_moves_during_the_walk_counts_once(aws: StandIn, load: Load) -> None:
    """It was listed in one OU and then in another: it is in the one where it was met last."""
    aws.organizations.grow({"Late": {}, "Early": {SHOP: "shop"}})
    early, late = aws.organizations.add_ou("Early"), aws.organizations.add_ou("Late")

    def moves_on(call: Any) -> bool:
        if call.params["ParentId"] == late:
            aws.organizations.move_account(SHOP, "Late")
        return False

    aws.faults.slow("organizations", "ListAccountsForParent", seconds=0, when=moves_on)
    found = load()
    asked = [c.params["ParentId"] for c in aws.calls.log if c.operation == "ListAccountsForParent"]
    assert list(dict.fromkeys(asked)) == [ROOT, early, late]
    assert [row["ou"] for row in found.table.to_pylist() if row["account_id"] == SHOP] == ["Late"]


# --- when it cannot be read ---------------------------------------------------------------------------------------

Problem = Callable[[StandIn], None]


def denied(aws: StandIn) -> None:
    aws.organizations.deny()


def not_in_use(aws: StandIn) -> None:
    aws.organizations.in_use = False


def throttled(aws: StandIn) -> None:
    aws.organizations.throttle_next(100)


def cut_off(aws: StandIn) -> None:
    aws.faults.cut("organizations", "*", times=None)


REFUSALS = [
    (denied, "You don't have permissions", "organizations:ListAccountsForParent"),
    (not_in_use, "not a member of an organization", "aws.organizations_role_arn"),
    (throttled, "Rate exceeded", "run it again later"),
]
TROUBLES = [*REFUSALS, (cut_off, "AWS was not reached", "network")]


@pytest.mark.parametrize(("trouble", "says", "fix"), TROUBLES, ids=lambda value: getattr(value, "__name__", ""))
def test_without_an_answer_the_last_history_is_shown_as_outdated(
    aws: StandIn, load: Load, archive: RecordingArchive, trouble: Problem, says: str, fix: str
) -> None:
    """The morning goes on with the last map: it says of which day it is, why, and what to do; nothing is written."""
    aws.organizations.grow({"Eng": {SHOP: "shop"}})
    before = load(MONDAY)
    written = list(archive.written)
    trouble(aws)
    after = load(WEDNESDAY, of=Hasty(aws))
    assert after.table.equals(before.table)
    assert after.facts == before.facts
    assert after.outdated.startswith("the organization is shown as of 2025-09-08. ")
    assert says in after.outdated
    assert fix in after.outdated
    assert archive.written == written


@pytest.mark.parametrize(("trouble", "says", "fix"), REFUSALS, ids=lambda value: getattr(value, "__name__", ""))
def test_without_an_answer_and_a_history_it_fails(
    aws: StandIn, load: Load, archive: RecordingArchive, trouble: Problem, says: str, fix: str
) -> None:
    """There is no map at all: the error names the action, the role's setting and what to allow."""
    trouble(aws)
    with pytest.raises(FinopsError) as caught:
        load(of=Hasty(aws))
    assert says in str(caught.value)
    assert fix in caught.value.fix
    assert "organizations:ListRoots" in str(caught.value)
    assert "FINOPS_AWS__ORGANIZATIONS_ROLE_ARN" in str(caught.value)
    assert archive.written == []


def test_half_an_organization_is_no_snapshot(aws: StandIn, load: Load, archive: RecordingArchive) -> None:
    """An error in the middle of the walk changes nothing: no account seems to have left or moved."""
    aws.organizations.grow({"Eng": {SHOP: "shop"}, "Data": {DATA: "data"}})
    load(MONDAY)
    kept = archive.get(HISTORY_PATH)
    aws.organizations.move_account(SHOP, "Data")
    aws.faults.fail("organizations", "ListAccountsForParent", code="AccessDeniedException", skip=2)
    assert load(TUESDAY).outdated
    assert archive.get(HISTORY_PATH) == kept
    assert not load(TUESDAY).outdated
    assert archive.get(HISTORY_PATH) != kept


def test_a_clock_that_was_set_back_changes_nothing(aws: StandIn, load: Load, archive: RecordingArchive) -> None:
    """The past is not rewritten, and the map says why it is not of today."""
    load(WEDNESDAY)
    aws.organizations.move_account(MANAGEMENT, "Eng")
    found = load(MONDAY)
    assert ous(found) == {MANAGEMENT: "Root"}
    assert "a snapshot of 2025-09-08 cannot follow one of 2025-09-10. Set the clock right" in found.outdated
    assert archive.written == [HISTORY_PATH, SNAPSHOT_PATH]


def test_a_history_that_contradicts_itself_is_not_guessed_at(
    aws: StandIn, load: Load, archive: RecordingArchive
) -> None:
    """Somebody's edit that doubles an account is named by its lines, and not overwritten."""
    archive.put(HISTORY_PATH, b"account_id,account_name,ou_path\n1,a,A\n1,a,B\n")
    with pytest.raises(AccountsError, match=r"organization/accounts\.csv, lines 2 and 3: account 1 is there twice"):
        load()
    assert archive.written == [HISTORY_PATH]


DAMAGES = {
    "emptied": lambda _: b"",
    "cut": lambda data: data[: len(data) - 9],
    "another's": lambda _: b"{}",
    "random": lambda _: bytes(range(255, 100, -1)),
}


def test_a_snapshot_of_a_release_before_versions_is_read(load: Load, archive: RecordingArchive) -> None:
    """A day that stands in it is known: the clock cannot have gone back behind it."""
    load(TUESDAY)
    facts = {"accounts in the organization": "1", "OUs": "2", "accounts not active": "0"}
    archive.put(SNAPSHOT_PATH, json.dumps({"day": str(WEDNESDAY), **facts}).encode())
    map_of_today = load(TUESDAY)
    assert f"a snapshot of {TUESDAY} cannot follow one of {WEDNESDAY}" in map_of_today.outdated
    assert {name: map_of_today.facts[name] for name in facts} == facts
    assert archive.list("damaged/") == []


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_a_damaged_history_is_made_anew_from_the_published_map(
    aws: StandIn, load: Load, archive: RecordingArchive, damage: Callable[[bytes], bytes]
) -> None:
    """No move and no tag is forgotten: the map has every span. The damaged object is kept as a copy; so is the
    snapshot's."""
    load = partial(load, tags=("unit",))
    aws.organizations.grow({"Eng": {SHOP: "shop"}})
    aws.organizations.tags[SHOP] = {"unit": "Retail"}
    load(MONDAY)
    aws.organizations.move_account(SHOP, "Data")
    aws.organizations.tags[SHOP] = {"unit": "Commerce"}
    moved = load(TUESDAY)
    archive.put(ACCOUNT_MAP_PATH, to_parquet(moved.table))
    good = archive.get(HISTORY_PATH)
    for path in (HISTORY_PATH, SNAPSHOT_PATH):
        archive.put(path, damage(archive.get(path)))
    again = load(WEDNESDAY)
    assert again.outdated == ""
    assert again.table.equals(moved.table)
    assert archive.get(HISTORY_PATH) == good
    assert json.loads(archive.get(SNAPSHOT_PATH))["day"] == str(WEDNESDAY)
    assert archive.get(archive.list("damaged/organization/")[0]) == damage(good)


def test_a_damaged_history_without_a_map_begins_today(aws: StandIn, load: Load, archive: RecordingArchive) -> None:
    """Where both are damaged, the past is lost, and the map is that of today since always."""
    aws.organizations.grow({"Eng": {SHOP: "shop"}})
    load(MONDAY)
    aws.organizations.move_account(SHOP, "Data")
    load(TUESDAY)
    for path in (HISTORY_PATH, ACCOUNT_MAP_PATH):
        archive.put(path, b"")
    assert [row["ou"] for row in load(WEDNESDAY).table.to_pylist() if row["account_id"] == SHOP] == ["Data"]
    assert len(archive.list("damaged/")) == 2


ROLE = "arn:aws:iam::999999999999:role/organization-reader"


def test_the_role_of_the_management_account_is_assumed(aws: StandIn, load: Load, running: StandIn) -> None:
    """With aws.organizations_role_arn the organization is read as that role."""
    with pytest.MonkeyPatch.context() as environment:
        for name, value in running.environ.items():
            environment.setenv(name, value)
        assert load(of=AwsSession(endpoint_url=aws.url), role_arn=ROLE).outdated == ""
    (assumed,) = [call.params for call in aws.calls.log if call.operation == "AssumeRole"]
    assert assumed["RoleArn"] == ROLE


def test_a_role_that_may_not_be_assumed_is_named(aws: StandIn, load: Load, running: StandIn) -> None:
    """What to allow is sts:AssumeRole on that role, not the reading of the organization."""
    message = f"User: arn:aws:iam::1:user/x is not authorized to perform: sts:AssumeRole on resource: {ROLE}"
    aws.faults.fail("sts", "AssumeRole", code="AccessDenied", status=403, message=message, times=None)
    with pytest.MonkeyPatch.context() as environment:
        for name, value in running.environ.items():
            environment.setenv(name, value)
        with pytest.raises(FinopsError, match=f"Allow sts:AssumeRole on {ROLE}"):
            load(of=AwsSession(endpoint_url=aws.url), role_arn=ROLE)


# --- what every adapter of the role promises ----------------------------------------------------------------------


@pytest.fixture(params=["accounts.csv", "Organizations"])
def accounts(
    request: pytest.FixtureRequest, aws: StandIn, session: AwsSession, archive: RecordingArchive, tmp_path: Path
) -> Accounts:
    """The same two accounts, told by a file and by the organization."""
    if request.param == "Organizations":
        aws.organizations.grow({"Eng": {"Shop": {SHOP: "shop"}}})
        return OrganizationsAccounts(session, archive, ou_level=1, history="as_was", today=lambda: MONDAY)
    file = tmp_path / "accounts.csv"
    file.write_text(f"account_id,account_name,ou_path\n{SHOP},shop,Eng/Shop\n{MANAGEMENT},management,Root\n")
    return AccountsFile(str(file), warehouse=None, ou_level=1, history="as_was")


def test_every_source_of_accounts_gives_the_same_map(accounts: Accounts) -> None:
    """Rows, schema, dates and the level are the same whoever tells; today's map is not outdated and has facts."""
    found = accounts.load()
    assert found.table.schema == ACCOUNT_OU_MAP
    assert [tuple(row.values()) for row in found.table.to_pylist()] == [
        (SHOP, "shop", "Eng", "Eng/Shop", ALWAYS, FOREVER),
        (MANAGEMENT, "management", "Root", "Root", ALWAYS, FOREVER),
    ]
    assert found.outdated == ""
    assert found.facts
    assert all(isinstance(value, str) for value in found.facts.values())
    assert accounts.load().table.equals(found.table)

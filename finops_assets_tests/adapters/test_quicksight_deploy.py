"""The QuickSight dashboard as code: it fits the API, is put in place once, and says what is wrong where it is not."""

from __future__ import annotations

import json
import signal
import threading
from collections.abc import Iterator
from copy import deepcopy
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from finops_assets.adapters.aws.glue_tables import GlueTables
from finops_assets.adapters.aws.quicksight import data_sets, definition, ids
from finops_assets.adapters.aws.quicksight.api_model import faults, hold_to_model
from finops_assets.adapters.aws.quicksight.deployment import Deployment
from finops_assets.adapters.aws.quicksight.fixes import DASHBOARD_FIXES
from finops_assets.adapters.aws.quicksight.requests import Plan, Request, requests
from finops_assets.adapters.aws.quicksight.sharing import OWNER, VIEWER
from finops_assets.adapters.aws.session import AwsError, AwsSession
from finops_assets.cli.errors import CommandGroup
from finops_assets.cli.quicksight import quicksight
from finops_assets.core.accounts.account_map import Membership, account_map, to_parquet
from finops_assets.core.accounts.permissions import Rule, read_permissions, visible
from finops_assets.core.analytics.budgets import AMBER, GREEN, NONE, RED
from finops_assets.core.errors import FinopsError, SettingsError
from finops_assets.core.schemas import ACCOUNT_MAP_PATH, OU_BREAKDOWN, OU_SCORECARD
from finops_assets_tests.adapters.test_scorecard_on_aws import put
from finops_assets_tests.support.on_aws import settings_on
from standin.bills import setup
from standin.server import StandIn

ACCOUNT, REGION, BUCKET = "123456789012", "us-east-1", "finops-daily-summaries"
YESTERDAY = date(2025, 9, 10)
KNOWN = ("Engineering/Web", "Engineering/Data, Analytics", "Sales", "Unassigned")
HOSTILE = 'R&D <b>"x"</b>\n\'; DROP'
RULES = (Rule("ann", "", "Engineering"), Rule("", "executives", "All"))


def plan(**changed: Any) -> Plan:
    settings = {
        "workgroup": "finops",
        "tiles": ("Engineering", "Sales"),
        "known": KNOWN,
        "currency": "USD",
        "cost_basis": "unblended",
    }
    return Plan(**settings | changed)


def body(of: Plan, key: str) -> dict[str, Any]:
    return next(dict(one.body) for one in requests(of, REGION, ACCOUNT) if one.id == key)


def below(value: Any, name: str) -> Iterator[Any]:
    """Every value under this name, however deep."""
    if isinstance(value, dict):
        for own, one in value.items():
            if own == name:
                yield one
            yield from below(one, name)
    elif isinstance(value, list):
        for one in value:
            yield from below(one, name)


# --- the definition -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "of",
    [
        plan(),
        plan(rules=RULES),
        plan(tiles=(), currency="", cost_basis=""),
        plan(tiles=(HOSTILE, "x" * 600, "\n"), known=(HOSTILE,), rules=(Rule("", HOSTILE, HOSTILE),)),
        plan(tiles=[f"OU {n}" for n in range(300)]),
    ],
    ids=["plain", "secured", "nothing archived yet", "hostile names", "300 OUs"],
)
def test_every_request_fits_the_model_of_the_api(of: Plan) -> None:
    """Types, required members, words, patterns, lengths: all that botocore's description of QuickSight says."""
    made = requests(of, REGION, ACCOUNT)
    assert {one.id: faults(one, ACCOUNT) for one in made} == {one.id: [] for one in made}
    hold_to_model(made, ACCOUNT)


@pytest.mark.parametrize(
    ("path", "value", "says"),
    [
        (("Sheets", 0, "ContentType"), "MOVING", "'MOVING' is none of PAGINATED, INTERACTIVE"),
        (("Sheets", 0, "SheetId"), "a sheet", "does not match"),
        (("Sheets", 0, "Name"), "x" * 3000, "3000 is more than 2048"),
        (("Sheets", 0, "Colour"), "red", "Unknown parameter"),
        (("DataSetIdentifierDeclarations",), "none", "Invalid type"),
    ],
)
def test_what_does_not_fit_is_refused_before_any_call(path: tuple, value: Any, says: str) -> None:
    """The error names the resource and the place; QuickSight's own would come after half of it was made."""
    made = {one.id: one for one in requests(plan(), REGION, ACCOUNT)}[ids.DASHBOARD]
    changed = deepcopy(dict(made.body))
    holder = changed["Definition"]
    for part in path[:-1]:
        holder = holder[part]
    holder[path[-1]] = value
    with pytest.raises(FinopsError, match=says) as caught:
        hold_to_model([Request(made.kind, made.id, changed)], ACCOUNT)
    assert caught.value.where == f"QuickSight dashboard {ids.DASHBOARD}"


def test_the_data_sets_have_the_contracts_columns() -> None:
    """Both tables' columns with QuickSight's types; no decimal is cut to four places."""
    breakdown = body(plan(), ids.BREAKDOWN)["PhysicalTableMap"]["table"]["RelationalTable"]
    assert [one["Name"] for one in breakdown["InputColumns"]] == OU_BREAKDOWN.names
    scorecard = body(plan(), ids.SCORECARD)["PhysicalTableMap"]["table"]["CustomSql"]
    types = {one["Name"]: (one["Type"], one.get("SubType")) for one in scorecard["Columns"]}
    assert list(types)[: len(OU_SCORECARD)] == OU_SCORECARD.names
    assert {types[name] for name in ("budget", "forecastp50", "daycost", "budgetshare")} == {("DECIMAL", "FLOAT")}
    assert {types[name] for name in ("billingdate", "budgetpassed")} == {("DATETIME", None)}
    assert body(plan(), ids.BREAKDOWN)["ImportMode"] == "SPICE"


def test_the_dashboard_shows_what_is_asked_of_it() -> None:
    """A tile for each OU, the combo chart, the lights in colour and word, tables, line, dates, anomalies."""
    made = body(plan(), ids.DASHBOARD)["Definition"]
    summary, detail = made["Sheets"]
    kinds = [next(iter(one)) for one in summary["Visuals"]]
    assert kinds == [*["KPIVisual"] * 3, "ComboChartVisual", "BarChartVisual", "TableVisual"]
    titles = [one["FormatText"]["PlainText"] for one in below(summary["Visuals"][:3], "Title")]
    assert titles == ["All", "Engineering", "Sales"]
    assert [next(iter(one)) for one in detail["Visuals"]] == ["LineChartVisual", *["TableVisual"] * 4]
    wells = next(below(summary["Visuals"], "ComboChartAggregatedFieldWells"))
    assert list(below(wells["BarValues"], "ColumnName")) == ["monthtodate"]
    assert list(below(wells["LineValues"], "ColumnName")) == ["budget", "forecastp50"]
    lights = {f"{shape} {light}" for light, shape in ((GREEN, "●"), (AMBER, "◊"), (RED, "■"), (NONE, "○"))}
    combo = next(one["ComboChartVisual"] for one in summary["Visuals"] if "ComboChartVisual" in one)
    assert lights <= {one["Element"].get("FieldValue") for one in next(below(combo, "ColorMap"))}
    assert "lightshown" in below(summary["Visuals"][-1], "ColumnName")
    assert {sheet["FilterControls"][0]["DateTimePicker"]["Type"] for sheet in made["Sheets"]} == {"DATE_RANGE"}
    assert "anomalyreason" in below(detail["Visuals"][-1], "ColumnName")


def test_a_click_leads_from_ou_to_service_to_account() -> None:
    """An OU opens the second sheet; there each table narrows what lies behind it."""
    summary, detail = body(plan(), ids.DASHBOARD)["Definition"]["Sheets"]
    for visual in (one for one in summary["Visuals"] if "ComboChartVisual" not in one):
        (operations,) = below(visual, "ActionOperations")
        assert [next(iter(one)) for one in operations] == ["NavigationOperation", "SetParametersOperation"]
        assert list(below(operations, "TargetSheetId")) == [detail["SheetId"]]
    narrows = {
        visual["TableVisual"]["VisualId"]: next(below(visual, "TargetVisuals"))
        for visual in detail["Visuals"]
        if "Actions" in visual.get("TableVisual", {})
    }
    assert narrows == {
        "by-ou": ["by-service", "by-account", "daily"],
        "by-service": ["by-account", "daily"],
        "by-account": ["daily"],
    }


def test_no_two_elements_of_a_sheet_lie_on_each_other() -> None:
    """Each layout is a grid without overlaps, within its 36 columns, with every visual on it."""
    for of in (plan(), plan(tiles=[f"OU {n}" for n in range(30)])):
        for sheet in body(of, ids.DASHBOARD)["Definition"]["Sheets"]:
            elements = sheet["Layouts"][0]["Configuration"]["GridLayout"]["Elements"]
            cells: set[tuple[int, int]] = set()
            for one in elements:
                own = {
                    (one["RowIndex"] + row, one["ColumnIndex"] + column)
                    for row in range(one["RowSpan"])
                    for column in range(one["ColumnSpan"])
                }
                assert not own & cells, one["ElementId"]
                assert max(column for _, column in own) < 36
                cells |= own
            shown = {visual["VisualId"] for each in sheet["Visuals"] for visual in each.values()}
            assert shown == {one["ElementId"] for one in elements if one["ElementType"] == "VISUAL"}


def test_the_unit_stands_wherever_amounts_do() -> None:
    """Titles of visuals with money say the currency and the cost basis."""
    sheets = body(plan(), ids.DASHBOARD)["Definition"]["Sheets"]
    with_money = {"budget-and-forecast", "ous", "daily", "by-ou", "by-service", "by-account", "anomalies"}
    visuals = [visual for sheet in sheets for each in sheet["Visuals"] for visual in each.values()]
    titles = {one["VisualId"]: one["Title"]["FormatText"]["PlainText"] for one in visuals}
    assert {key for key, title in titles.items() if "(USD, unblended)" in title} == with_money


def test_text_boxes_are_well_formed_whatever_the_names() -> None:
    """A text box is XML: a currency with markup in it stays text."""
    import xml.etree.ElementTree as ElementTree

    sheets = body(plan(currency="<b>&"), ids.DASHBOARD)["Definition"]["Sheets"]
    contents = list(below(sheets, "Content"))
    assert contents
    assert all("<b>&" in "".join(ElementTree.fromstring(one).itertext()) for one in contents)


# --- who may see what ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("user,ou\nann,Sales\n", "has the columns user, ou"),
        ("user,group,ou\n", "gives nobody anything"),
        ("user,group,ou\nann,heads,Sales\n", "names both a user and a group"),
        ("user,group,ou\n,,Sales\n", "names neither"),
        ("user,group,ou\nann,,Marketing\n", "gives 'Marketing', which is no OU"),
        ("user,group,ou\nann,,\n", "gives no OU"),
        ("user,group,ou\nann,,Sales\nann,, Sales\n", "ann is given Sales twice"),
        ("user,group,ou\nann,,Sales,All\n", "more or fewer values"),
        ("user,group,ou\nann\n", "more or fewer values"),
        (b"user,group,ou\n\xff,,Sales\n", "not CSV in UTF-8"),
    ],
)
def test_a_file_of_permissions_that_means_nothing_is_refused(text: str | bytes, says: str) -> None:
    """It names the line and what to write: a typing error must neither open nor close anything silently."""
    data = text if isinstance(text, bytes) else text.encode()
    with pytest.raises(SettingsError, match=says) as caught:
        read_permissions(data, "ou_permissions.csv", KNOWN)
    assert caught.value.where.startswith("ou_permissions.csv")
    assert caught.value.fix


def test_a_rule_is_an_ou_and_all_below_it() -> None:
    """Parents that own no account count too; `Engineering` is no part of `Engineering2`."""
    rules = read_permissions(
        b"\xef\xbb\xbfGroup,User,OU\nheads,, Engineering / \nall,,All\n,ann,Engineering/Web\n", "p.csv", KNOWN
    )
    assert rules == [Rule("ann", "", "Engineering/Web"), Rule("", "all", "All"), Rule("", "heads", "Engineering")]
    ous = ["Engineering", "Engineering/Web", "Engineering2", "Sales"]
    assert visible(rules[2], ous) == ["Engineering", "Engineering/Web"]
    assert visible(rules[1], ous) == sorted(ous)


def test_more_rules_than_quicksight_takes_are_told() -> None:
    """Past 999 the user would see nothing at all."""
    known = [f"Engineering/{n}" for n in range(1000)]
    with pytest.raises(SettingsError, match=r"group heads may see 1,001 OUs, and QuickSight takes 999"):
        requests(plan(known=known, rules=[Rule("", "heads", "Engineering")]), REGION, ACCOUNT)
    requests(plan(known=known, rules=[Rule("", "heads", "All")]), REGION, ACCOUNT)


# --- put in place -------------------------------------------------------------------------------------------------


class Clock:
    """Moves when somebody sleeps."""

    def __init__(self) -> None:
        self.now = datetime(2025, 9, 11, 7, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)


@pytest.fixture
def account(aws: StandIn, session: AwsSession, monkeypatch: pytest.MonkeyPatch) -> StandIn:
    """The platform's tables with a day's scorecard, and the account map, on the morning after that day."""
    morning, started = datetime.combine(YESTERDAY, time(7), UTC) + timedelta(days=1), datetime.now(UTC)
    monkeypatch.setattr(aws, "clock", lambda: morning + (datetime.now(UTC) - started))
    setup(aws, BUCKET)
    GlueTables(session, BUCKET).ensure()
    put(aws, YESTERDAY, {"All": "3", "Engineering": "2", "Sales": "1"})
    members = [Membership(f"{n:012d}", "", path) for n, path in enumerate(KNOWN)]
    published = to_parquet(account_map(members, ou_level="full", history="as_was"))
    aws.client("s3").put_object(Bucket=BUCKET, Key=ACCOUNT_MAP_PATH, Body=published)
    aws.calls.reset()
    return aws


class Three:
    """Answers each data set's query with three rows, unread: for the tests that are not about the queries."""

    def rows_of(self, sql: str) -> list[tuple[int]]:
        return [(3,)]


@pytest.fixture
def deploy(deploy_and_query: Any, account: StandIn, monkeypatch: pytest.MonkeyPatch) -> Any:
    """As deploy_and_query, which takes ten times as long."""
    monkeypatch.setattr(account, "athena", Three())
    monkeypatch.setattr(account.quicksight, "_check_columns", lambda _: None)
    return deploy_and_query


@pytest.fixture
def deploy_and_query(account: StandIn, session: AwsSession) -> Any:
    clock = Clock()

    def go(of: Plan | None = None, **options: Any) -> dict[str, str]:
        deployment = Deployment(session, sleep=clock.sleep, clock=clock, **options)
        return {one.id: one.how for one in deployment.deploy(of or plan())}

    return go


ALL_OF_IT = (ids.SOURCE, ids.BREAKDOWN, ids.SCORECARD, ids.THEME, ids.DASHBOARD)


def test_all_of_it_is_made_and_filled(account: StandIn, deploy_and_query: Any) -> None:
    """Data source, data sets, theme and dashboard, in this order; the queries run, and their types are as declared."""
    assert deploy_and_query() == dict.fromkeys(ALL_OF_IT, "created")
    assert account.quicksight.data_sets[ids.SCORECARD].spice_rows == 3
    made = account.quicksight.boards.dashboard(ids.DASHBOARD)
    assert (made.versions[0].status, made.published) == ("CREATION_SUCCESSFUL", 1)
    assert not account.refused


def test_what_the_money_is_has_a_data_set_for_who_wants_it(account: StandIn, deploy_and_query: Any) -> None:
    """Asked of Athena when it is opened; once it is there, each deployment secures it as it does the others."""
    assert deploy_and_query(plan(charges=True))[ids.CHARGES] == "created"
    made = account.quicksight.data_sets[ids.CHARGES]
    assert made.mode == "DIRECT_QUERY"
    assert account.athena.rows_of(made.sql) == []
    assert deploy_and_query(plan(rules=RULES))[ids.CHARGES] == "updated"
    secured = account.quicksight.data_sets[ids.CHARGES].request["RowLevelPermissionDataSet"]
    assert secured["Arn"] == account.quicksight.data_sets[ids.PERMISSIONS].arn


def test_the_columns_made_for_the_dashboard_say_what_they_should(account: StandIn, deploy_and_query: Any) -> None:
    """Light with its shape, where it begins, whether the row is of the newest day or has an anomaly."""
    put(account, YESTERDAY - timedelta(days=1), {"All": "9"})
    deploy_and_query()
    sql = account.quicksight.data_sets[ids.SCORECARD].sql
    rows = account.athena.rows_of(f"SELECT ou, daycost, lightshown, lightfrom, latest, anomaly FROM ({sql}) AS s")
    assert sorted(rows) == [
        ("All", 3.0, "● green", 0.0, "yes", "no"),
        ("All", 9.0, "● green", 0.0, "no", "no"),
        ("Engineering", 2.0, "● green", 0.0, "yes", "no"),
        ("Sales", 1.0, "● green", 0.0, "yes", "no"),
    ]


def test_a_second_time_nothing_is_done(account: StandIn, deploy: Any) -> None:
    """No version, no ingestion, no change: only looks."""
    deploy(plan(rules=RULES, owners=["group/finops"], viewers=["group/heads"]))
    before = len(account.quicksight.ingestions)
    account.calls.reset()
    again = deploy(plan(rules=RULES, owners=["group/finops"], viewers=["group/heads"]))
    assert set(again.values()) == {"unchanged"}
    assert len(account.quicksight.boards.dashboard(ids.DASHBOARD).versions) == 1
    assert len(account.quicksight.ingestions) == before
    assert not [name for (of, name) in account.calls.counts() if of == "quicksight" and not name.startswith("Describe")]


def test_a_change_is_a_new_version_that_is_published(account: StandIn, deploy: Any) -> None:
    """Another OU: the dashboard alone is updated; readers get the new version once it is whole."""
    deploy()
    changed = deploy(plan(tiles=("Engineering", "Sales", "Unassigned")))
    assert [key for key, how in changed.items() if how == "updated"] == [ids.DASHBOARD]
    made = account.quicksight.boards.dashboard(ids.DASHBOARD)
    assert (len(made.versions), made.published) == (2, 2)


def test_a_data_set_that_somebody_changed_is_put_back(account: StandIn, deploy: Any) -> None:
    """Its query and columns are compared, not only remembered."""
    deploy()
    account.quicksight.data_sets[ids.SCORECARD].request["PhysicalTableMap"]["table"]["CustomSql"]["SqlQuery"] = "SELECT"
    changed = deploy()
    assert [key for key, how in changed.items() if how == "updated"] == [ids.SCORECARD]
    assert account.quicksight.ingestions[-1].request_type == "EDIT"


def test_what_broke_off_halfway_is_gone_on_with(account: StandIn, deploy: Any) -> None:
    """A deployment that was refused in the middle does the rest the next time."""
    account.faults.fail("quicksight", "CreateTheme", code="InvalidParameterValueException", message="No.")
    with pytest.raises(AwsError):
        deploy()
    done = deploy()
    assert list(done.values()) == [*["unchanged"] * 3, "created", "created"]


def test_throttling_is_waited_out(account: StandIn, deploy: Any) -> None:
    """boto3 tries again; nothing is made twice."""
    account.faults.fail("quicksight", "CreateDashboard", code="ThrottlingException", status=429)
    account.faults.fail("quicksight", "DescribeDashboard", code="ThrottlingException", status=429, skip=1)
    assert deploy()[ids.DASHBOARD] == "created"
    assert len(account.quicksight.boards.dashboard(ids.DASHBOARD).versions) == 1


# --- secured by OU ------------------------------------------------------------------------------------------------


def test_rules_are_drawn_out_to_what_lies_below(account: StandIn, deploy_and_query: Any) -> None:
    """The user sees the OU and all below it, the group everything; a comma in a name does not part it."""
    deploy_and_query(plan(rules=(*RULES, Rule("o'hara", "", "Sales"))))
    sql = account.quicksight.data_sets[ids.PERMISSIONS].sql
    assert set(account.athena.rows_of(sql)) == {
        ("ann", None, "Engineering"),
        ("ann", None, "Engineering/Web"),
        ("ann", None, '"Engineering/Data, Analytics"'),
        ("o'hara", None, "Sales"),
        (None, "executives", None),
    }
    for key in (ids.BREAKDOWN, ids.SCORECARD):
        secured = account.quicksight.data_sets[key].request["RowLevelPermissionDataSet"]
        assert secured["Arn"] == account.quicksight.data_sets[ids.PERMISSIONS].arn
        assert secured["Status"] == "ENABLED"
    assert account.quicksight.data_sets[ids.PERMISSIONS].columns == {"UserName", "GroupName", "ou"}


def test_new_ous_come_with_the_account_map(account: StandIn, deploy_and_query: Any) -> None:
    """The rules are refreshed by QuickSight each day, without a deployment."""
    deploy_and_query(plan(rules=RULES))
    ((key, schedule),) = account.quicksight.boards.schedules.items()
    assert key[0] == ids.PERMISSIONS
    assert schedule["ScheduleFrequency"]["Interval"] == "DAILY"
    put(account, YESTERDAY, {"All": "3", "Engineering/New": "3"})
    seen = account.athena.rows_of(account.quicksight.data_sets[ids.PERMISSIONS].sql)
    assert ("ann", None, "Engineering/New") in seen


def test_security_does_not_go_away_by_an_oversight(account: StandIn, deploy: Any) -> None:
    """Without the file, or with the setting lost, nothing is changed; it takes a word to open it."""
    deploy(plan(rules=RULES))
    account.calls.reset()
    with pytest.raises(SettingsError, match="would see every OU") as caught:
        deploy()
    assert "--open-to-all" in caught.value.fix
    assert account.calls.count("quicksight", "UpdateDataSet") == 0
    opened = deploy(plan(open_to_all=True))
    assert {opened[ids.BREAKDOWN], opened[ids.SCORECARD]} == {"updated"}
    assert "RowLevelPermissionDataSet" not in account.quicksight.data_sets[ids.BREAKDOWN].request


def test_security_that_was_taken_away_by_hand_is_put_back(account: StandIn, deploy: Any) -> None:
    """The data sets are compared with what they should be."""
    deploy(plan(rules=RULES))
    del account.quicksight.data_sets[ids.BREAKDOWN].request["RowLevelPermissionDataSet"]
    assert deploy(plan(rules=RULES))[ids.BREAKDOWN] == "updated"


# --- shared -------------------------------------------------------------------------------------------------------


def test_owners_may_change_and_viewers_may_look(account: StandIn, deploy: Any) -> None:
    """Owners get all resources, viewers the dashboard alone; what was given by hand stays."""
    heads = f"arn:aws:quicksight:{REGION}:{ACCOUNT}:group/default/heads"
    finops = f"arn:aws:quicksight:eu-west-1:{ACCOUNT}:user/default/finops"
    deploy(plan(owners=[finops], viewers=["group/heads", finops]))
    grants = account.quicksight.boards.grants
    for kind, noun, key in (
        ("dashboard", "Dashboard", ids.DASHBOARD),
        ("theme", "Theme", ids.THEME),
        ("data set", "DataSet", ids.SCORECARD),
        ("data source", "DataSource", ids.SOURCE),
    ):
        assert grants[noun, key][finops] == {f"quicksight:{action}" for action in OWNER[kind]}
    assert grants["Dashboard", ids.DASHBOARD][heads] == {f"quicksight:{one}" for one in VIEWER["dashboard"]}
    assert heads not in grants["DataSet", ids.SCORECARD]
    grants["Dashboard", ids.DASHBOARD]["by hand"] = {"quicksight:DescribeDashboard"}
    deploy(plan(viewers=["group/more"]))
    assert {"by hand", heads, finops} < set(grants["Dashboard", ids.DASHBOARD])


@pytest.mark.parametrize("who", ["heads", "role/admin", "arn:aws:iam::123456789012:user/ann"])
def test_somebody_who_is_no_principal_is_refused_first(account: StandIn, deploy: Any, who: str) -> None:
    """Before anything is made."""
    with pytest.raises(SettingsError, match="no user or group of QuickSight"):
        deploy(plan(viewers=[who]))
    assert account.calls.count("quicksight") == 0


def test_a_group_that_is_not_there_is_named(account: StandIn, deploy: Any) -> None:
    """QuickSight's users may be kept in another region: the error says so."""
    account.quicksight.boards.people = set()
    with pytest.raises(AwsError, match="is not found") as caught:
        deploy(plan(viewers=["group/heads"]))
    assert "group/default/heads" in caught.value.fix
    assert "another region" in caught.value.fix


# --- what goes wrong ----------------------------------------------------------------------------------------------


def test_a_missing_subscription_is_told_at_once(account: StandIn, deploy: Any) -> None:
    """The first call says it, with where to sign up; nothing else is asked."""
    account.quicksight.boards.subscription = None
    with pytest.raises(AwsError, match="not signed up with QuickSight") as caught:
        deploy()
    assert "Sign up for QuickSight (Enterprise edition)" in caught.value.fix
    assert account.calls.count("quicksight") == 1


@pytest.mark.parametrize(
    ("subscription", "says", "fix"),
    [
        ({"Edition": "STANDARD"}, "Standard edition", "Upgrade"),
        ({"AccountSubscriptionStatus": "UNSUBSCRIBED"}, "has ended", "Sign up"),
    ],
)
def test_a_subscription_that_does_not_do_is_told(
    account: StandIn, deploy: Any, subscription: dict[str, str], says: str, fix: str
) -> None:
    """Dashboards by the API need the Enterprise edition."""
    account.quicksight.boards.subscription |= subscription
    with pytest.raises(FinopsError, match=says) as caught:
        deploy()
    assert fix in caught.value.fix


def test_one_who_may_not_see_the_subscription_can_still_deploy(account: StandIn, deploy: Any) -> None:
    """The look at it is for a better message only; without QuickSight the next call says so."""
    denial = f"User: x is not authorized to perform: quicksight:DescribeAccountSubscription on resource: {ACCOUNT}"
    account.faults.fail(
        "quicksight", "DescribeAccountSubscription", code="AccessDeniedException", message=denial, times=None
    )
    assert deploy()[ids.DASHBOARD] == "created"
    account.quicksight.boards.subscription = None
    with pytest.raises(AwsError, match="not subscribed for QuickSight") as caught:
        deploy()
    assert "Sign up" in caught.value.fix


@pytest.mark.parametrize(
    "operation", ["CreateDataSource", "DescribeDataSet", "CreateTheme", "UpdateDashboardPermissions"]
)
def test_a_denial_names_the_action(account: StandIn, deploy: Any, operation: str) -> None:
    """IAM's own words, the action and the resource, ready for the policy."""
    resource = f"arn:aws:quicksight:{REGION}:{ACCOUNT}:thing/x"
    account.faults.fail(
        "quicksight",
        operation,
        code="AccessDeniedException",
        status=403,
        message=f"User: arn:aws:sts::1:x is not authorized to perform: quicksight:{operation} on resource: {resource}",
    )
    with pytest.raises(AwsError, match="permission denied") as caught:
        deploy(plan(viewers=["group/heads"]))
    assert caught.value.fix == f"Allow quicksight:{operation} on {resource} in the IAM policy of the role."


def test_a_definition_that_cannot_be_made_shows_each_error(account: StandIn, deploy: Any) -> None:
    """Type, message and place, and what to do; readers keep the version before, and the next go makes another."""
    deploy()
    account.quicksight.boards.fail_next_version(
        "COLUMN_REPLACEMENT_MISSING", "Column lightshown is not found.", "sheet/budgets-and-lights/visual/ous"
    )
    with pytest.raises(FinopsError) as caught:
        deploy(plan(tiles=("Sales",)))
    assert "COLUMN_REPLACEMENT_MISSING: Column lightshown is not found" in caught.value.what
    assert "(at sheet/budgets-and-lights/visual/ous)" in caught.value.what
    assert "deploy again, which puts it back" in caught.value.fix
    assert "still see the version before" in caught.value.fix
    assert account.quicksight.boards.dashboard(ids.DASHBOARD).published == 1
    assert deploy(plan(tiles=("Sales",)))[ids.DASHBOARD] == "updated"
    assert account.quicksight.boards.dashboard(ids.DASHBOARD).published == 3


def test_a_dashboard_that_was_never_whole_is_made_anew(account: StandIn, deploy: Any) -> None:
    """The first version failed: the same definition is not taken for done."""
    account.quicksight.boards.fail_next_version("INTERNAL_FAILURE", "Sorry.")
    with pytest.raises(FinopsError, match="CREATION_FAILED: INTERNAL_FAILURE: Sorry"):
        deploy()
    assert deploy()[ids.DASHBOARD] == "updated"
    assert account.quicksight.boards.dashboard(ids.DASHBOARD).published == 2


def test_every_error_of_a_dashboard_has_its_advice(session: AwsSession) -> None:
    """All types of the API's model, and no other."""
    model = session.client("quicksight").meta.service_model
    assert set(DASHBOARD_FIXES) == set(model.shape_for("DashboardErrorType").enum)


def test_the_stand_in_looks_through_a_definition(account: StandIn, deploy: Any, monkeypatch: Any) -> None:
    """A column that the data set lacks makes a version that failed: the stand-in is no rubber stamp."""
    columns = data_sets.scorecard_columns

    def fewer() -> dict[str, str]:
        return {name: kind for name, kind in columns().items() if name != "lightreason"}

    monkeypatch.setattr(data_sets, "scorecard_columns", fewer)
    with pytest.raises(FinopsError, match="COLUMN_REPLACEMENT_MISSING: Column lightreason is not found"):
        deploy()


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda made: made["Sheets"][1].update(SheetId="budgets-and-lights"), "is not unique"),
        (lambda made: next(below(made, "ActionOperations")).reverse(), "must come before"),
        (lambda made: next(below(made, "TargetVisuals")).append("gone"), "filters visuals"),
        (lambda made: made["Sheets"][0]["Visuals"].pop(), "no element"),
        (lambda made: made["FilterGroups"][0]["Filters"].clear() or made["Sheets"][0]["FilterControls"][0][
            "DateTimePicker"].update(SourceFilterId="gone"), "not there"),
    ],
    ids=["sheet twice", "order of actions", "strange target", "layout of nothing", "control of nothing"],
)  # fmt: skip
def test_a_definition_that_is_refused_at_once_says_what_to_do(
    account: StandIn, deploy: Any, monkeypatch: Any, change: Any, says: str
) -> None:
    """What the model cannot say QuickSight refuses when it is sent: its words, and how to see what was sent."""
    whole = definition.definition

    def broken(*arguments: Any, **named: Any) -> dict[str, Any]:
        made = deepcopy(whole(*arguments, **named))
        change(made)
        return made

    monkeypatch.setattr(definition, "definition", broken)
    with pytest.raises(AwsError, match=says) as caught:
        deploy()
    assert caught.value.where == f"QuickSight dashboard {ids.DASHBOARD}"
    assert "finops quicksight show" in caught.value.fix


def test_a_data_source_that_reaches_nothing_says_which_rights_are_missing(account: StandIn, deploy: Any) -> None:
    """QuickSight tries the connection when it is made; the next go tries again."""
    account.quicksight.boards.fail_next_source("ACCESS_DENIED", "Insufficient permissions to connect.")
    with pytest.raises(FinopsError, match="CREATION_FAILED: ACCESS_DENIED") as caught:
        deploy()
    assert "Security & permissions" in caught.value.fix
    assert deploy()[ids.SOURCE] == "updated"


def test_data_that_cannot_be_loaded_is_told(account: StandIn, deploy: Any) -> None:
    """A dashboard over an empty data set is not done."""
    account.quicksight.fail_next("PERMISSION_DENIED", "No access to the bucket.")
    with pytest.raises(FinopsError, match="could not be loaded: PERMISSION_DENIED") as caught:
        deploy()
    assert caught.value.where == f"QuickSight data set {ids.BREAKDOWN}"
    assert "the archive's bucket" in caught.value.fix


def test_a_version_that_takes_too_long_is_left_to_go_on(account: StandIn, deploy: Any, monkeypatch: Any) -> None:
    """The wait ends; the next go waits for it instead of making another."""
    boards = account.quicksight.boards
    make = boards._version

    def slowly(kind: str, params: dict[str, Any], number: int) -> Any:
        made = make(kind, params, number)
        made.looks = 60 if kind == "Dashboard" else 1
        return made

    monkeypatch.setattr(boards, "_version", slowly)
    with pytest.raises(FinopsError, match="still CREATION_IN_PROGRESS after 30 seconds"):
        deploy(timeout_seconds=30)
    assert deploy()[ids.DASHBOARD] == "unchanged"
    assert len(boards.dashboard(ids.DASHBOARD).versions) == 1


# --- the command --------------------------------------------------------------------------------------------------


@pytest.fixture
def finops(account: StandIn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """`finops quicksight ...`, on the stand-in by its environment alone."""
    for name, value in settings_on(tmp_path, aws__bucket=BUCKET).items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(account, "athena", Three())
    monkeypatch.setattr(account.quicksight, "_check_columns", lambda _: None)

    def run(*arguments: str) -> Result:
        return CliRunner().invoke(
            CommandGroup("finops", commands={"quicksight": quicksight}), ["quicksight", *arguments]
        )

    return run


def test_the_command_puts_it_in_place_and_says_what_to_set(account: StandIn, finops: Any, tmp_path: Path) -> None:
    """A line for each resource, the dashboard's address, who sees what, and the settings of the daily refresh."""
    (tmp_path / "ou_permissions.csv").write_text("user,group,ou\nann,,Engineering\n,executives,All\n")
    done = finops("deploy", "--permissions", "ou_permissions.csv", "--owner", "group/finops", "--viewer", "group/heads")
    assert done.exit_code == 0, done.output
    assert f"dashboard     {ids.DASHBOARD}" in done.output
    assert f"sn/dashboards/{ids.DASHBOARD}" in done.output
    assert "yes: 2 users and groups" in done.output
    assert f'quicksight_data_set = "{ids.BREAKDOWN}"' in done.output
    tiles = account.quicksight.boards.dashboard(ids.DASHBOARD).versions[0].request["Definition"]["Sheets"][0]
    titles = [one["KPIVisual"]["Title"]["FormatText"]["PlainText"] for one in tiles["Visuals"] if "KPIVisual" in one]
    assert titles == ["All", "Engineering", "Sales", "Unassigned"]


def test_the_command_tells_programs(finops: Any) -> None:
    """JSON on standard output alone."""
    done = finops("deploy", "--json")
    told = json.loads(done.stdout)
    assert [one["how"] for one in told["resources"]] == ["created"] * 5
    assert told["secured"] is False
    assert told["settings"]["quicksight_scorecard_data_set"] == ids.SCORECARD


def test_show_prints_what_would_be_sent_and_asks_nothing(account: StandIn, finops: Any) -> None:
    """The definition is there to be read before anything is made."""
    done = finops("show")
    told = json.loads(done.stdout)
    assert told[f"dashboard {ids.DASHBOARD}"]["Definition"]["Sheets"][0]["Name"] == "Budgets and lights"
    assert account.calls.count("quicksight") == 0


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (("deploy", "--permissions", "gone.csv"), 2, "there is no such file: gone.csv"),
        (("deploy", "--viewer", "heads"), 2, "no user or group"),
    ],
)
def test_wrong_usage_is_one_line(finops: Any, arguments: tuple[str, ...], code: int, says: str) -> None:
    """Exit code 2 and what to mend."""
    done = finops(*arguments)
    assert done.exit_code == code
    assert says in done.output
    assert "Traceback" not in done.output


def test_a_refusal_is_one_line_with_what_to_do(account: StandIn, finops: Any) -> None:
    """Exit code 1."""
    account.quicksight.boards.subscription = None
    done = finops("deploy")
    assert done.exit_code == 1
    assert "Sign up for QuickSight" in done.output


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_in_the_wait_is_one_line_and_the_next_go_is_whole(
    account: StandIn, finops: Any, monkeypatch: pytest.MonkeyPatch, number: signal.Signals, code: int
) -> None:
    """What was sent stays; nothing is made twice."""
    boards = account.quicksight.boards
    make = boards._version

    def interrupted(kind: str, params: dict[str, Any], version: int) -> Any:
        if kind == "Dashboard":  # the answer is still to come, and to be waited for
            threading.Timer(0.2, signal.raise_signal, [number]).start()
        made = make(kind, params, version)
        made.looks = 10_000 if kind == "Dashboard" else 1
        return made

    with monkeypatch.context() as slow:
        slow.setattr(boards, "_version", interrupted)
        done = finops("deploy")
    assert done.exit_code == code
    line = done.stderr.splitlines()[-1]
    assert line.startswith("error: finops quicksight was interrupted by ")
    assert "Traceback" not in done.output
    boards.dashboard(ids.DASHBOARD).versions[0].looks = 0
    assert finops("deploy").exit_code == 0
    assert len(boards.dashboard(ids.DASHBOARD).versions) == 1


def test_the_embedded_platform_has_no_quicksight(finops: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """It says where its dashboard is."""
    monkeypatch.setenv("FINOPS_PLATFORM", "local")
    done = finops("deploy")
    assert done.exit_code == 2
    assert "dashboard.html" in done.output

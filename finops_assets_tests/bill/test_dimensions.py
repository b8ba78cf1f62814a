"""What a tag or a cost category says of a line's money, by format and spelling, in both engines.

The figures are written by hand. Spellings: AWS's table dictionaries of CUR 2.0 (`resource_tags`, `tags`,
`cost_category`), of the legacy report (`resourceTags/user:Name`, and its columns in Athena) and of FOCUS (`Tags`,
`x_CostCategories`).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from finops_assets.core.accounts.account_map import Membership, to_parquet
from finops_assets.core.accounts.account_map import account_map as map_of
from finops_assets.core.archive.breakdown import split_by_day
from finops_assets.core.archive.day_checks import DIMENSIONS, faults
from finops_assets.core.bill.dimension_keys import check_key, shown_value
from finops_assets.core.bill.recognition import normal_name
from finops_assets.core.errors import SettingsError
from finops_assets.core.ports import Warehouse
from finops_assets.core.schemas import ACCOUNT_MAP_PATH
from finops_assets.core.values import DayRows
from finops_assets.settings.load import load_settings
from finops_assets_tests.support.bills import ACCOUNT, DAY, account_map, line, open_bill, rows_of
from finops_assets_tests.support.bills import write_rows as write
from finops_assets_tests.support.on_aws import make_ready, platform_on
from standin.bills import load_bill
from standin.server import StandIn

MAP = pa.map_(pa.string(), pa.string())
KEYS = ("tag:CostCenter", "cost_category:Product Line", "tag:aws:createdBy")
HOSTILE = '<img src=x onerror=alert(1)>\u202e=1+1"' + "x" * 10_000


BILLS: dict[str, tuple[str, list[dict[str, Any]], dict[str, pa.DataType]]] = {
    "cur2-map": (
        "cur2",
        [
            {
                "resource_tags": [("user_cost_center", "a"), ("aws_created_by", "root")],
                "cost_category": [("Product Line", "x")],
            },
            {
                "resource_tags": [("user:CostCenter", "b"), ("user_other", "z")],
                "cost_category": [("product_line", "y")],
            },
            {"resource_tags": [("user_cost_center", "")], "cost_category": []},
            {"resource_tags": None, "cost_category": None},
        ],
        {"resource_tags": MAP, "cost_category": MAP},
    ),
    "cur2-tags": (
        "cur2",
        [
            {
                "tags": [("resourceTags/user_cost_center", "a"), ("resourceTags/aws:createdBy", "root")],
                "cost_category": [("Product Line", "x")],
            },
            {
                "tags": [("resourceTags/CostCenter", "b"), ("accountTag/CostCenter", "z")],
                "cost_category": [("Product Line", "y")],
            },
            {"tags": [("userAttribute/CostCenter", "z")], "cost_category": None},
            {"tags": None, "cost_category": None},
        ],
        {"tags": MAP, "cost_category": MAP},
    ),
    "cur2-json": (
        "cur2",
        [
            {
                "resource_tags": '{"user_cost_center": "a", "aws:createdBy": "root"}',
                "cost_category": '{"Product Line": "x"}',
            },
            {"resource_tags": '{"user:CostCenter":"b"}', "cost_category": '{"product_line":"y"}'},
            {"resource_tags": "{}", "cost_category": "not JSON"},
            {"resource_tags": None, "cost_category": None},
        ],
        {},
    ),
    "cur-columns": (
        "cur2",
        [
            {
                "resource_tags_user_cost_center": "a",
                "resource_tags_aws_created_by": "root",
                "cost_category_product_line": "x",
            },
            {"resource_tags_user_cost_center": "b", "cost_category_product_line": "y"},
            {"resource_tags_user_cost_center": ""},
            {},
        ],
        {},
    ),
    "focus-map": (
        "focus",
        [
            {
                "Tags": [("user:CostCenter", "a"), ("aws:createdBy", "root")],
                "x_CostCategories": [("Product Line", "x")],
            },
            {"Tags": [("CostCenter", "b")], "x_CostCategories": [("product_line", "y")]},
            {"Tags": [], "x_CostCategories": None},
            {"Tags": None, "x_CostCategories": None},
        ],
        {"Tags": MAP, "x_CostCategories": MAP},
    ),
    "focus-json": (
        "focus",
        [
            {"Tags": '{"CostCenter": "a", "aws:createdBy": "root"}', "x_CostCategories": '{"Product Line": "x"}'},
            {"Tags": '{"user_cost_center": "b"}', "x_CostCategories": '{"Product Line": "y"}'},
            {"Tags": "", "x_CostCategories": ""},
            {"Tags": None, "x_CostCategories": None},
        ],
        {},
    ),
}
"""Bill -> format, what each of four lines of 10, 5, 2 and 1 (a tax) has, and the types of its columns."""

WANTED = {
    "tag:CostCenter": {"a": 10, "b": 5, "(untagged)": 3},
    "cost_category:Product Line": {"x": 10, "y": 5, "(untagged)": 3},
    "tag:aws:createdBy": {"root": 10, "(untagged)": 8},
}


def lines_of(bill: str) -> tuple[list[dict[str, Any]], dict[str, pa.DataType]]:
    fmt, extras, types = BILLS[bill]
    costs = (("10", "Usage"), ("5", "Usage"), ("2", "Usage"), ("1", "Tax"))
    lines = [line(cost, category=of, extra=extra) for (cost, of), extra in zip(costs, extras, strict=True)]
    return rows_of(lines, fmt), types


class Opener:
    """Opens a bill of BILLS, or of rows, in one of the engines."""

    def __init__(self, root: Path, running: StandIn | None) -> None:
        self._root, self._running, self._ready = root, running, False

    def __call__(
        self, name: str, rows: list[dict[str, Any]], types: dict[str, pa.DataType], keys: tuple[str, ...]
    ) -> Warehouse:
        folder = self._root / name.replace("-", "_")
        if not folder.exists():
            write(folder / "0.parquet", rows, types)
            if self._running:
                load = load_bill if self._ready else make_ready
                load(self._running, folder, table=f"billing.{folder.name}")
                self._ready = True
        if not self._running:
            return open_bill(folder, dimensions=keys)
        settings = {"bill__table": f"billing.{folder.name}", "dimensions__keys": ",".join(keys)}
        platform = platform_on(self._running, self._root, **settings)
        platform.archive.put(ACCOUNT_MAP_PATH, to_parquet(account_map()))
        return platform.warehouse


@pytest.fixture(scope="module", params=["embedded", "athena"])
def opened(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Opener]:
    from finops_assets.composition import channels

    root = tmp_path_factory.mktemp("dimensions")
    if request.param == "embedded":
        yield Opener(root, None)
        return
    running: StandIn = request.getfixturevalue("running")
    session = request.getfixturevalue("session")
    with pytest.MonkeyPatch.context() as patched:
        running.reset()
        for name, value in running.environ.items():
            patched.setenv(name, value)
        patched.setattr(channels, "aws_session", lambda _: session)
        yield Opener(root, running)


def day_of(warehouse: Warehouse, keys: tuple[str, ...]) -> DayRows:
    """The day, proved as a run proves it; the engine's own fingerprints are those of the rows."""
    (day,) = split_by_day(warehouse.breakdown(DAY, DAY, account_map()))
    day = replace(day, dimension_keys=keys)
    assert faults(day, warehouse.source_days(DAY, DAY)[DAY]) == {}
    assert warehouse.fingerprints(DAY, DAY, account_map())[DAY].dimensions == day.dimension_prints
    assert warehouse.fingerprints(DAY, DAY, account_map())[DAY].fingerprint == day.fingerprint
    return day


def by_value(day: DayRows) -> dict[str, dict[str, Decimal]]:
    assert day.dimensions is not None
    sums: dict[str, dict[str, Decimal]] = {}
    for row in day.dimensions.to_pylist():
        of = sums.setdefault(row["dimension"], {})
        of[row["value"]] = of.get(row["value"], Decimal()) + row["cost"]
    return sums


@pytest.mark.parametrize("bill", BILLS)
def test_each_format_has_its_values(opened: Opener, bill: str) -> None:
    """Three dimensions that each sum to the day, of which a tax and a resource without a tag are a part."""
    warehouse = opened(bill, *lines_of(bill), KEYS)
    assert by_value(day_of(warehouse, KEYS)) == WANTED
    assert warehouse.describe().dimensions == dict.fromkeys(KEYS, ())


def test_values_of_people_stay_text_and_apart(opened: Opener) -> None:
    """A value that reads as no value, markup, a formula, a reversed text, quotes, and 10,000 letters."""
    values = ["(untagged)", "\\(untagged)", HOSTILE, "=cmd|' /C calc'!A0", 'a,"b"\nc', " ", "Ä"]
    rows = rows_of([line("1", extra={"Tags": [("user:team", value)]}) for value in values], "focus")
    day = day_of(opened("hostile", rows, {"Tags": MAP}, ("tag:team",)), ("tag:team",))
    shown = ["\\(untagged)", "\\\\(untagged)", *values[2:]]
    assert by_value(day) == {"tag:team": dict.fromkeys(shown, Decimal(1))}


def test_a_bill_without_the_column_is_all_untagged_and_says_which(opened: Opener) -> None:
    keys = ("tag:team", "cost_category:Product")
    warehouse = opened("bare", rows_of([line("7")], "cur2"), {}, keys)
    assert by_value(day_of(warehouse, keys)) == {key: {"(untagged)": 7} for key in keys}
    said = warehouse.describe().dimensions
    assert said["tag:team"] == ("resource_tags", "tags", "resource_tags_user_team")
    assert said["cost_category:Product"] == ("cost_category", "cost_category_product")


@pytest.mark.parametrize("kind", ["csv", "csv.gz"])
def test_a_csv_has_a_column_for_each_name_or_json(tmp_path: Path, kind: str) -> None:
    legacy = [
        {"resourceTags/user:CostCenter": "a", "resourceTags/aws:createdBy": "root", "costCategory/Product Line": "x"},
        {"resourceTags/user:CostCenter": "b", "costCategory/Product Line": "y"},
        {},
        {},
    ]
    costs = (("10", "Usage"), ("5", "Usage"), ("2", "Usage"), ("1", "Tax"))
    lines = [line(cost, category=of, extra=extra) for (cost, of), extra in zip(costs, legacy, strict=True)]
    file = write(tmp_path / "cur" / f"cur.{kind}", rows_of(lines, "cur"))
    assert by_value(day_of(open_bill(file, dimensions=KEYS), KEYS)) == WANTED
    rows, _ = lines_of("cur2-json")
    file = write(tmp_path / "cur2" / f"cur2.{kind}", rows)
    assert by_value(day_of(open_bill(file, dimensions=KEYS), KEYS)) == WANTED


def test_two_tags_that_are_one_column_are_refused_where_they_are_asked_for(tmp_path: Path) -> None:
    """`Team` and `team` are two tags, and one name in Athena; a bill that has both is read without them."""
    extra = {"resourceTags/user:Team": "a", "resourceTags/user:team": "b"}
    file = write(tmp_path / "cur.csv", rows_of([line("1", extra=extra)], "cur"))
    assert open_bill(file).source_days(DAY, DAY)[DAY].total == 1
    with pytest.raises(SettingsError) as refused:
        open_bill(file, dimensions=("tag:team",)).describe()
    assert "resource_tags_user_team" in refused.value.what
    assert refused.value.where.startswith("dimensions.keys")


def test_an_attribute_of_accounts_is_that_of_the_day(opened: Opener) -> None:
    other = "444455556666"
    rows = rows_of([line("3"), line("4", account=other), line("5", account="777788889999")], "focus")
    members = [
        Membership(ACCOUNT, "", "Eng", valid_to=DAY, attributes=(("unit", "old"),)),
        Membership(ACCOUNT, "", "Eng", valid_from=DAY, attributes=(("unit", "shop"),)),
        Membership(other, "", "Eng", attributes=(("unit", ""),)),
    ]
    accounts = map_of(members, ou_level="full", history="as_was", attributes=("unit",))
    warehouse = opened("accounts", rows, {}, ())
    (day,) = split_by_day(warehouse.breakdown(DAY, DAY, accounts), accounts=accounts)
    day = replace(day, dimension_keys=("account:unit",))
    assert by_value(day) == {"account:unit": {"shop": 3, "(untagged)": 9}}
    assert faults(day, warehouse.source_days(DAY, DAY)[DAY]) == {}


@pytest.mark.parametrize("fault", ["gone", "moved", "cent"])
def test_a_day_is_held_to_its_dimensions_by_key_and_by_row(tmp_path: Path, fault: str) -> None:
    """A value that is lost, money that moved between services, and a cent."""
    rows = rows_of([line("3"), line("4", service="S3")], "focus")
    warehouse = open_bill(write(tmp_path / "focus.parquet", rows), dimensions=("tag:team",))
    (day,) = split_by_day(warehouse.breakdown(DAY, DAY, account_map()))
    table = day.dimensions
    assert table is not None
    costs = {"gone": [], "moved": ["4", "3"], "cent": ["3", "4.01"]}[fault]
    if costs:
        cost = pa.array(list(map(Decimal, costs)), table.schema.field("cost").type)
        table = table.set_column(table.column_names.index("cost"), "cost", cost)
    else:
        table = table.slice(0, 1)
    day = replace(day, dimensions=table, dimension_keys=("tag:team",))
    assert list(faults(day, warehouse.source_days(DAY, DAY)[DAY])) == [DIMENSIONS]


def test_a_header_of_a_label_is_named_as_athena_names_it() -> None:
    assert normal_name("resourceTags/user:CostCenter") == "resource_tags_user_cost_center"
    assert normal_name("resourceTags/user:kubernetes.io/cluster/a--b") == "resource_tags_user_kubernetes_io_cluster_a_b"
    assert normal_name("costCategory/Product") == "cost_category_product"


def test_no_two_values_become_one() -> None:
    texts = ["(untagged)", "\\(untagged)", "(unta\\gged)", "\\\\(untagged)", "a", "\\a", ""]
    assert len(set(map(shown_value, texts))) == len(texts)


@pytest.mark.parametrize(
    "key", ["team", "tag:", "tag:a'b", 'tag:a"b', "tag:a\\b", "label:a", "account:ou", "tag:" + "a" * 129]
)
def test_a_key_that_is_none_is_refused(key: str) -> None:
    with pytest.raises(ValueError, match="has "):
        check_key(key)


@pytest.mark.parametrize("keys", ["tag:a,tag:a", "account:Unit,account:unit", ",".join(f"tag:{n}" for n in range(21))])
def test_keys_that_are_there_twice_or_too_many_are_refused(keys: str) -> None:
    with pytest.raises(SettingsError) as refused:
        load_settings({"FINOPS_DIMENSIONS__KEYS": keys})
    assert refused.value.where.startswith("dimensions.keys")

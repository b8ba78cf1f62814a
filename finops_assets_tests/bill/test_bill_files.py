"""Which files are the bill, what their manifests say, and what happens when they change."""

from __future__ import annotations

import os
import re
import shutil
import threading
import zipfile
from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from finops_assets.adapters.local.bill_files import find_bill
from finops_assets.adapters.local.warehouse import DuckDBWarehouse
from finops_assets.core.accounts.account_map import Membership
from finops_assets.core.bill.rules import Rules
from finops_assets.core.errors import BillError
from finops_assets.core.values import PassedOver
from finops_assets.settings.sections import WarehouseSettings
from finops_assets_tests.support.bills import (
    ACCOUNT,
    DAY,
    account_map,
    archive_days,
    at,
    days_with_charges,
    line,
    make_bill,
    new_archive,
    open_bill,
    read_rows,
    rows_of,
    source_day,
    write_data_export,
    write_json,
    write_rows,
)

FILE = "focus-00001.snappy.parquet"
OCTOBER = at(DAY + timedelta(days=30))


def write_legacy(root: Path, assembly: str, cost: int, *, current: bool, chunks: int = 1) -> Path:
    """One version of September in a legacy CUR, in its assembly's folder; the current one has the manifest."""
    period = "20250901-20251001"
    names = [f"{assembly}/hourly-{i:05d}.csv.gz" for i in range(1, chunks + 1)]
    for name in names:
        write_rows(root / period / name, rows_of([line(cost)], "cur"))
    manifest = {"assemblyId": assembly, "reportKeys": [f"cur/hourly/{period}/{name}" for name in names]}
    write_json(root / period / assembly / "hourly-Manifest.json", manifest)
    if current:
        write_json(root / period / "hourly-Manifest.json", manifest)
    return root


def test_one_file_is_a_bill(tmp_path: Path) -> None:
    """bill.path may be a single file."""
    path = make_bill(tmp_path, [line(1)])
    found = find_bill(str(path))
    assert (found.files, found.parquet, found.size_bytes) == ((path,), True, path.stat().st_size)


def test_a_folder_is_the_sum_of_its_files(tmp_path: Path) -> None:
    """Every data file at any depth counts; hidden ones, manifests and notes do not."""
    folder = tmp_path / "bill"
    for i, name in enumerate(["a.csv", "deep/er/b.CSV", "c.csv.gz", ".hidden.csv", "_staging/d.csv", "._a.csv"]):
        write_rows(folder / name, rows_of([line(10**i)], "focus"))
    (folder / "README.md").write_text("notes", encoding="utf-8")
    assert source_day(folder).total == 111


def test_a_home_folder_may_be_written_as_a_tilde(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """~ in bill.path is the person's home, though no shell has seen it."""
    monkeypatch.setenv("HOME", str(tmp_path))
    make_bill(tmp_path / "bill", [line(3)])
    assert find_bill("~/bill").files == (tmp_path / "bill" / "focus.parquet",)


@pytest.mark.parametrize("kind", ["parquet", "csv"])
@pytest.mark.parametrize(
    "name",
    ["b[1]", "b?", "b*", "[b]", "it's", 'q"q', "ü ö", "100%", "%41", "a{b,c}", "a;b", "#a", "back\\slash", "year=1999"],
)
def test_no_name_of_a_file_or_folder_is_a_pattern(tmp_path: Path, name: str, kind: str) -> None:
    """`b[1]` is that file, and not b1 that lies beside it."""
    folder = tmp_path / name
    write_rows(folder / f"{name}.{kind}", rows_of([line(1)], "focus"))
    for i, beside in enumerate(["b1", "bx", "b", "bxx"], 1):
        write_rows(folder / f"{beside}.{kind}", rows_of([line(10**i)], "focus"))
    assert source_day(folder / f"{name}.{kind}").total == 1
    assert source_day(folder).total == 11111


# --- manifests ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["parquet", "csv.gz"])
def test_a_data_export_is_read_as_it_is_copied(tmp_path: Path, kind: str) -> None:
    """Periods side by side are one bill; the manifest's s3:// names are found in the copy."""
    write_data_export(tmp_path / "focus", [line(1)], kind=kind)
    write_data_export(tmp_path / "focus", [line(2, start=OCTOBER)], period="2025-10", kind=kind)
    warehouse = open_bill(tmp_path / "focus")
    assert days_with_charges(warehouse) == [DAY, OCTOBER.date()]
    assert warehouse.describe().files == 2


@pytest.mark.parametrize("version", ["20250912T060000Z-0a1b", "20250911T060000Z-9f9f"])
def test_the_manifest_says_which_version_counts(tmp_path: Path, version: str) -> None:
    """An export that keeps its older versions is counted once, in the version that the manifest names."""
    costs = {"20250911T060000Z-9f9f": 10, "20250912T060000Z-0a1b": 20}
    for name, cost in costs.items():
        write_data_export(tmp_path, [line(cost)], version=name, manifest=False)
    write_data_export(tmp_path, [line(costs[version])], version=version)
    assert source_day(tmp_path).total == costs[version]


def test_of_versions_with_a_manifest_each_the_latest_delivery_counts(tmp_path: Path) -> None:
    """Where every version has a manifest in a folder named after its time, the names decide, not the copies' times."""
    for number, version in enumerate(["20250912T060000Z-0a1b", "20250911T060000Z-9f9f"]):
        write_data_export(tmp_path, [line(10 + number)], version=version, manifest=False)
        manifest = write_json(
            tmp_path / "metadata" / "BILLING_PERIOD=2025-09" / version / "focus-Manifest.json",
            {"dataFiles": [f"s3://b/focus/data/BILLING_PERIOD=2025-09/{version}/focus-00001.snappy.parquet"]},
        )
        os.utime(manifest, (1_800_000_000 + number, 1_800_000_000 + number))
    assert source_day(tmp_path).total == 10


def test_a_day_says_which_delivery_it_was_made_of(tmp_path: Path) -> None:
    """By the export's id, or else that of the bill's files; a new delivery with the same rows leaves the day alone."""
    archive, first = new_archive(tmp_path / "home"), tmp_path / "first"
    write_data_export(first, [line(5)], version="20250911T060000Z-aaaa")
    made = archive_days(open_bill(first), archive, [DAY]).published[DAY]
    assert made.metadata["bill_delivery"] == "20250911T060000Z-aaaa"
    write_data_export(first, [line(5)], version="20250912T060000Z-bbbb")
    again = archive_days(open_bill(first), archive, [DAY]).published[DAY]
    assert (again.changed, again.version) == (False, made.version)
    plain = open_bill(make_bill(tmp_path / "plain", [line(6)]))
    assert archive_days(plain, archive, [DAY]).published[DAY].metadata["bill_delivery"] == plain.describe().snapshot


def test_a_chunk_that_an_overwritten_export_left_behind_does_not_count(tmp_path: Path) -> None:
    """A file that the manifest does not name is not the bill."""
    write_data_export(tmp_path, [line(5)])
    write_rows(
        tmp_path / "data" / "BILLING_PERIOD=2025-09" / "focus-00002.snappy.parquet", rows_of([line(90)], "focus")
    )
    assert source_day(tmp_path).total == 5


def test_a_legacy_report_is_read_in_its_current_version(tmp_path: Path) -> None:
    """The manifest beside the assemblies' folders names the current one, with all of its chunks."""
    write_legacy(tmp_path, "zz-old", 50, current=False)
    write_legacy(tmp_path, "aa-new", 7, current=True, chunks=3)
    assert source_day(tmp_path).total == 21
    assert open_bill(tmp_path).describe().format == "cur"


def test_a_legacy_report_for_athena_is_read_by_its_manifest(tmp_path: Path) -> None:
    """year=2025/month=9 is the period 20250901-20251001 of the manifest; the table of its state is no bill."""
    row = {"line_item_usage_start_date": at(), "line_item_line_item_type": "Usage", "line_item_product_code": "EC2"}
    row |= {"line_item_usage_account_id": ACCOUNT, "line_item_currency_code": "USD"}
    data = tmp_path / "hourly" / "year=2025" / "month=9"
    write_rows(data / "hourly-00001.snappy.parquet", [{**row, "line_item_unblended_cost": 4.0}])
    write_rows(data / "hourly-00002.snappy.parquet", [{**row, "line_item_unblended_cost": 90.0}])
    write_rows(tmp_path / "hourly" / "cost_and_usage_data_status" / "status.parquet", [{"status": "READY"}])
    write_json(
        tmp_path / "20250901-20251001" / "hourly-Manifest.json",
        {"reportKeys": ["cur/hourly/hourly/year=2025/month=9/hourly-00001.snappy.parquet"]},
    )
    assert source_day(tmp_path).total == 4


def test_a_lake_by_day_without_manifests_is_one_bill(tmp_path: Path) -> None:
    """Folders of year, month and day that somebody's own pipeline writes are no versions of one another."""
    for i in (1, 2):
        write_rows(tmp_path / f"year=2025/month=09/day={i:02d}/part.parquet", rows_of([line(i)], "focus"))
    assert source_day(tmp_path).total == 3


@pytest.mark.parametrize("below", ["data/BILLING_PERIOD=2025-09", "data"])
def test_versions_are_seen_from_any_folder_of_the_export(tmp_path: Path, below: str) -> None:
    """Pointed at a period's own folder, an export with two versions is not counted twice."""
    for version in ("20250911T060000Z-a", "20250912T060000Z-b"):
        write_data_export(tmp_path, [line(1)], version=version)
    with pytest.raises(
        BillError, match=r"holds 2 versions of 2025-09 and no manifest.*Point bill.path at the export's"
    ):
        find_bill(str(tmp_path / below))
    assert source_day(tmp_path / "data" / "BILLING_PERIOD=2025-09" / "20250912T060000Z-b").total == 1


def test_two_exports_of_one_payer_that_share_a_month_are_refused(tmp_path: Path) -> None:
    """The same charges in two exports would count twice: they are named, and one must be chosen."""
    write_data_export(tmp_path / "focus", [line(1)])
    write_data_export(tmp_path / "hourly-focus", [line(1)])
    with pytest.raises(BillError, match=r"2 exports, .*focus and .*hourly-focus: charges of 2025-09.*bill.path at one"):
        open_bill(tmp_path).describe()
    assert source_day(tmp_path / "focus").total == 1


def test_exports_of_different_payers_are_one_bill(tmp_path: Path) -> None:
    """As AWS's own aggregation lays them out, each payer's export in a folder of its own: nothing is in both."""
    for payer, cost in (("111111111111", 5), ("222222222222", 7)):
        write_data_export(tmp_path / payer / "cid", [line(cost, extra={"BillingAccountId": payer})])
    assert source_day(tmp_path).total == 12


@pytest.mark.parametrize("payer", [None, ""])
def test_exports_whose_payer_is_not_known_are_refused_with_advice_that_loses_no_money(
    tmp_path: Path, payer: str | None
) -> None:
    """Nothing says whether charges are in both: the column is named that would."""
    write_data_export(tmp_path / "a", [line(5, extra={"BillingAccountId": payer})])
    write_data_export(tmp_path / "b", [line(7, extra={"BillingAccountId": payer})])
    with pytest.raises(BillError, match=r"If both are of one payer.*if each is of another payer.*BillingAccountId"):
        open_bill(tmp_path).describe()


def test_an_export_and_its_successor_are_one_bill(tmp_path: Path) -> None:
    """An export that was made anew under another name: no month is in both."""
    write_data_export(tmp_path / "old", [line(5)])
    write_data_export(tmp_path / "new", [line(7, start=OCTOBER)], period="2025-10", manifest=False)
    warehouse = open_bill(tmp_path)
    assert [warehouse.source_days(day, day)[day].total for day in (DAY, OCTOBER.date())] == [5, 7]


@pytest.mark.parametrize(
    ("manifest", "message"),
    [
        (
            {"dataFiles": [f"s3://b/focus/data/BILLING_PERIOD=2025-09/{name}" for name in ("gone.parquet", FILE)]},
            "1 data file.* of 2025-09 that are not there, first s3://b.*gone",
        ),
        (
            {"dataFiles": ["s3://b/focus/data/BILLING_PERIOD=2025-09/gone.parquet"]},
            "the 1 data file.* of 2025-09, and none of them is there, first s3://b.*gone",
        ),
        ({"dataFiles": []}, "names no data files"),
        ({"columns": []}, "names no data files"),
        ({"dataFiles": [{"name": "x"}]}, "is not a manifest that can be read"),
        (["x"], "is not a manifest that can be read"),
    ],
)
def test_a_manifest_that_does_not_fit_is_refused(tmp_path: Path, manifest: object, message: str) -> None:
    """Half a copy is not a bill: the manifest and the first missing file are named."""
    write_data_export(tmp_path, [line(1)])
    file = tmp_path / "metadata" / "BILLING_PERIOD=2025-09" / "focus-Manifest.json"
    write_json(file, manifest)
    with pytest.raises(BillError, match=f"{file}: .*{message}.* again"):
        find_bill(str(tmp_path))


def two_months(root: Path) -> Path:
    """A Data Export of September and October."""
    write_data_export(root, [line(1)])
    return write_data_export(root, [line(2, start=OCTOBER)], period="2025-10")


def legacy_for_athena(root: Path) -> Path:
    """The manifest of September in a legacy CUR for Athena, whose data are elsewhere."""
    write_rows(root / "hourly/year=2025/month=10/hourly-00001.snappy.parquet", rows_of([line(2)], "focus"))
    name = "cur/hourly/hourly/year=2025/month=9/hourly-00001.snappy.parquet"
    write_json(root / "20250901-20251001" / "hourly-Manifest.json", {"reportKeys": [name]})
    return root


def without(make: Callable[[Path], Path], *names: str) -> Callable[[Path], Path]:
    """A bill that lacks the files, or all of a folder."""

    def spoil(root: Path) -> Path:
        make(root)
        for name in names:
            shutil.rmtree(root / name) if (root / name).is_dir() else (root / name).unlink()
        return root

    return spoil


@pytest.mark.parametrize(
    "make",
    [
        without(two_months, "data/BILLING_PERIOD=2025-09"),
        without(two_months, f"data/BILLING_PERIOD=2025-09/{FILE}"),
        without(two_months, "data"),
        without(lambda root: write_data_export(root, [line(1)], version="20250911T060000Z-a"), "data"),
        without(lambda root: write_legacy(root, "new", 7, current=True), "20250901-20251001/new/hourly-00001.csv.gz"),
        legacy_for_athena,
    ],
    ids=["no folder", "empty folder", "no month", "versions", "legacy CUR", "legacy CUR for Athena"],
)
def test_a_month_of_which_nothing_but_the_manifest_is_there_is_refused(
    tmp_path: Path, make: Callable[[Path], Path]
) -> None:
    """A copy without a month's files is not the bill: the month and the manifest are named, in every layout."""
    with pytest.raises(BillError, match=r"names the 1 data file.* of 2025-09, and none of them is there") as refused:
        find_bill(str(make(tmp_path / "focus")))
    assert refused.value.where.endswith("anifest.json")
    assert re.search("2025-?09", refused.value.where)


@pytest.mark.parametrize(
    "make",
    [
        without(two_months, "data/BILLING_PERIOD=2025-09", "metadata/BILLING_PERIOD=2025-09"),
        without(two_months, "data/BILLING_PERIOD=2025-09", "metadata"),
    ],
    ids=["with its manifest", "no manifest at all"],
)
def test_a_month_that_was_removed_with_its_manifest_is_not_asked_for(
    tmp_path: Path, make: Callable[[Path], Path]
) -> None:
    """Whoever keeps a part of the bill removes months whole; nothing is said of them."""
    assert days_with_charges(open_bill(make(tmp_path / "focus"))) == [OCTOBER.date()]


def test_a_month_whose_manifest_names_nothing_and_has_nothing_is_empty(tmp_path: Path) -> None:
    """A month that has just begun has no charges yet."""
    two_months(tmp_path)
    write_json(tmp_path / "metadata" / "BILLING_PERIOD=2025-11" / "focus-Manifest.json", {"dataFiles": []})
    assert days_with_charges(open_bill(tmp_path)) == [DAY, OCTOBER.date()]


def test_redshifts_list_is_no_manifest_of_the_bill(tmp_path: Path) -> None:
    """A legacy CUR for Redshift has another list of the same files, newer than the manifest: it does not count."""
    write_legacy(tmp_path, "new", 7, current=True)
    entries = {"entries": [{"url": "s3://b/cur/hourly/20250901-20251001/new/hourly-00001.csv.gz", "mandatory": True}]}
    write_json(tmp_path / "20250901-20251001" / "hourly-RedshiftManifest.json", entries)
    assert source_day(tmp_path).total == 7


def zipped_month(root: Path) -> Path:
    """September of a legacy CUR as AWS packs it for spreadsheets."""
    write_rows(root / "hourly-00001.csv", rows_of([line(7)], "cur"))
    folder = root / "20250901-20251001" / "new"
    folder.mkdir(parents=True)
    with zipfile.ZipFile(folder / "hourly-00001.csv.zip", "w") as packed:
        packed.write(root / "hourly-00001.csv", "hourly-00001.csv")
    (root / "hourly-00001.csv").unlink()
    name = "cur/hourly/20250901-20251001/new/hourly-00001.csv.zip"
    write_json(root / "20250901-20251001" / "hourly-Manifest.json", {"reportKeys": [name]})
    return root


def test_a_month_that_is_packed_counts_once_packed_or_unpacked(tmp_path: Path) -> None:
    """The zip is the file that the manifest names, and so is what is unpacked beside it or in its place."""
    root = zipped_month(tmp_path / "hourly")
    assert source_day(root).total == 7
    folder = root / "20250901-20251001" / "new"
    with zipfile.ZipFile(folder / "hourly-00001.csv.zip") as packed:
        packed.extractall(folder)
    assert source_day(root).total == 7
    (folder / "hourly-00001.csv.zip").unlink()
    assert source_day(root).total == 7


# --- files beside the bill that are not read ----------------------------------------------------------------------

UNREAD = "neither Parquet nor CSV by name"
HIDDEN = "in a hidden folder, or with a name that begins with . or _"
OLDER = "older deliveries, which the manifest does not name"
LINKED = "links to what is read already, or to a folder above"
BROKEN = "links to what is not there"


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        *((name, UNREAD) for name in ("a.zip", "a.ZIP", "a.bz2", "a.tsv", "a.xlsx", "a.orc")),
        *((name, UNREAD) for name in ("a.gz", "a.csv.bak", "a.parquet.part", "deep/er/a.tsv.gz")),
        *((name, HIDDEN) for name in (".a.csv", "_a.parquet", "_old/a.csv", "x/.y/a.csv.gz", "_a.zip")),
        *((name, "") for name in ("README", "README.md", "a.sql", "a.yml", "manifest.json", "notes.txt", "a.csv.md5")),
        *((name, "") for name in ("_SUCCESS", ".DS_Store", "._a.csv", ".a.parquet.crc", ".git/a.zip", ".finops/a.csv")),
        ("cost_and_usage_data_status/a.parquet", ""),
    ],
)
def test_what_may_be_the_bill_and_is_not_read_is_told(tmp_path: Path, name: str, reason: str) -> None:
    """By its name it could be a part of the bill; notes, manifests and what programs keep are not told."""
    make_bill(tmp_path, [line(1)])
    (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / name).write_bytes(b"12345")
    expected = (PassedOver(reason, 1, 5, name),) if reason else ()
    assert find_bill(str(tmp_path)).passed_over == expected


def test_parquet_without_an_ending_is_told(tmp_path: Path) -> None:
    """Athena's UNLOAD names its files without one: the first bytes say what it is."""
    bill = make_bill(tmp_path, [line(1)])
    (tmp_path / "part-00000").write_bytes(bill.read_bytes())
    (tmp_path / "LICENSE").write_bytes(b"no Parquet")
    [passed_over] = find_bill(str(tmp_path)).passed_over
    assert (passed_over.reason, passed_over.files, passed_over.example) == (UNREAD, 1, "part-00000")


def test_files_that_the_manifest_does_not_name_are_told(tmp_path: Path) -> None:
    """Older versions that an export keeps are counted, with their size and the first of them."""
    versions = [f"202509{day}T060000Z-a" for day in (11, 12, 13)]
    for version in versions:
        write_data_export(tmp_path, [line(1)], version=version)
    names = [f"data/BILLING_PERIOD=2025-09/{version}/{FILE}" for version in versions]
    size = sum((tmp_path / name).stat().st_size for name in names[:2])
    assert find_bill(str(tmp_path)).passed_over == (PassedOver(OLDER, 2, size, names[0]),)


def test_a_linked_folder_is_read(tmp_path: Path) -> None:
    """A month may lie on another disk; what two links lead to is read once."""
    make_bill(tmp_path / "bill", [line(1)])
    elsewhere = make_bill(tmp_path / "elsewhere", [line(2)])
    (tmp_path / "bill" / "2025-10").symlink_to(elsewhere.parent)
    assert find_bill(str(tmp_path / "bill")).passed_over == ()
    (tmp_path / "bill" / "more.parquet").symlink_to(elsewhere)
    assert [of.reason for of in find_bill(str(tmp_path / "bill")).passed_over] == [LINKED]
    assert source_day(tmp_path / "bill").total == 3


@pytest.mark.parametrize("target", [".", "..", "deep", "../bill/deep", "focus.parquet"])
def test_a_link_that_leads_in_a_circle_is_told(tmp_path: Path, target: str) -> None:
    """To the folder itself, to one above it, or to what is in it anyway."""
    make_bill(tmp_path / "bill", [line(1)])
    make_bill(tmp_path / "bill" / "deep", [line(2)])
    make_bill(tmp_path / "beside", [line(90)])
    (tmp_path / "bill" / "link").symlink_to(target)
    assert find_bill(str(tmp_path / "bill")).passed_over == (PassedOver(LINKED, 1, 0, "link"),)
    assert source_day(tmp_path / "bill").total == 3


def test_a_circle_behind_a_link_is_no_way_out(tmp_path: Path) -> None:
    """The linked folder has a link to the folder that it is in itself: what lies beside it is not the bill."""
    make_bill(tmp_path / "bill", [line(1)])
    month = make_bill(tmp_path / "disk" / "2025-10", [line(2)]).parent
    make_bill(tmp_path / "disk" / "other", [line(90)])
    (month / "up").symlink_to("..")
    (tmp_path / "bill" / "2025-10").symlink_to(month)
    assert source_day(tmp_path / "bill").total == 3


def test_a_link_to_nothing_is_told(tmp_path: Path) -> None:
    """A disk that is not mounted is a month that is missing."""
    make_bill(tmp_path / "bill", [line(1)])
    (tmp_path / "bill" / "2025-10").symlink_to(tmp_path / "not-mounted")
    assert find_bill(str(tmp_path / "bill")).passed_over == (PassedOver(BROKEN, 1, 0, "2025-10"),)


def test_a_bill_that_is_one_file_passes_over_nothing(tmp_path: Path) -> None:
    """What lies beside a file that is named is nobody's business."""
    bill = make_bill(tmp_path, [line(1)])
    (tmp_path / "a.zip").write_bytes(b"12345")
    assert find_bill(str(bill)).passed_over == ()


def test_a_manifest_cut_in_the_middle_is_refused(tmp_path: Path) -> None:
    """A manifest that is not JSON is named."""
    write_data_export(tmp_path, [line(1)])
    file = tmp_path / "metadata" / "BILLING_PERIOD=2025-09" / "focus-Manifest.json"
    file.write_text(file.read_text(encoding="utf-8")[:20], encoding="utf-8")
    with pytest.raises(BillError, match=f"{file}: is not a manifest that can be read"):
        find_bill(str(tmp_path))


def test_many_gzipped_files_fit_in_the_default_memory(tmp_path: Path) -> None:
    """A legacy report of sixteen chunks is read by sixteen threads within warehouse.memory's default."""
    for i in range(16):
        write_rows(tmp_path / "bill" / f"{i}.csv.gz", rows_of([line(i)] * 2000, "cur"))
    rules = Rules("billed")
    warehouse = DuckDBWarehouse(
        str(tmp_path / "bill"), "auto", rules, memory=WarehouseSettings().memory, threads=16, spill=tmp_path / "spill"
    )
    assert warehouse.source_days(DAY, DAY)[DAY].total == 2000 * sum(range(16))


# --- a bill that changes, and two runs that read it ---------------------------------------------------------------


def test_a_bill_that_changes_on_disk_is_read_again(tmp_path: Path) -> None:
    """An open warehouse sees a refreshed file, an added one and a removed one; nothing it said before survives."""
    first = make_bill(tmp_path / "bill", [line(1)])
    warehouse = open_bill(tmp_path / "bill")

    def seen() -> tuple[Decimal, str]:
        rows = read_rows(warehouse)
        assert sum(row[-1] for row in rows) == warehouse.source_days(DAY, DAY)[DAY].total
        return rows[0][-1], warehouse.describe().snapshot

    history = [seen()]
    make_bill(tmp_path / "bill", [line(2)])
    history.append(seen())
    second = write_rows(tmp_path / "bill" / "more.parquet", rows_of([line(40)], "focus"))
    history.append(seen())
    second.unlink()
    first.touch()
    history.append(seen())
    assert [cost for cost, _ in history] == [1, 2, 42, 2]
    assert len({snapshot for _, snapshot in history}) == 4


def test_a_bill_of_the_same_size_is_read_again(tmp_path: Path) -> None:
    """A value that changes within a file of the same length is seen."""
    path = make_bill(tmp_path, [line("1.5")], kind="csv")
    warehouse = open_bill(path)
    assert warehouse.source_days(DAY, DAY)[DAY].total == Decimal("1.5")
    path.write_text(path.read_text(encoding="utf-8").replace("1.5", "2.5"), encoding="utf-8")
    assert warehouse.source_days(DAY, DAY)[DAY].total == Decimal("2.5")


def test_what_a_caller_does_with_the_days_stays_with_it(tmp_path: Path) -> None:
    """The days that are kept in memory are not the caller's to change."""
    warehouse = open_bill(make_bill(tmp_path, [line(1)]))
    warehouse.source_days(DAY, DAY).clear()
    assert warehouse.source_days(DAY, DAY)[DAY].total == 1


def test_the_bill_can_be_asked_while_its_rows_stream(tmp_path: Path) -> None:
    """A stream of rows neither blocks nor loses anything when another question comes between."""
    warehouse = open_bill(make_bill(tmp_path, [line(1, service=f"service {i:03d}") for i in range(300)]))
    stream = warehouse.breakdown(DAY, DAY, account_map())
    rows = next(stream).num_rows
    assert warehouse.describe().files == 1
    assert days_with_charges(warehouse) == [DAY]
    assert rows + sum(batch.num_rows for batch in stream) == 300


def test_two_runs_read_one_warehouse_at_once(tmp_path: Path) -> None:
    """Each run sees its own account map and its own days, though they share the open bill."""
    days = [DAY + timedelta(days=i) for i in range(4)]
    warehouse = open_bill(make_bill(tmp_path, [line(i + 1, start=at(day)) for i, day in enumerate(days)]))
    wrong: list[object] = []

    def run(number: int, day: object) -> None:
        ou_map = account_map(Membership(ACCOUNT, "shop", f"OU {number}"))
        for _ in range(8):
            rows = read_rows(warehouse, day, day, ou_map)
            total = warehouse.source_days(day, day)[day].total
            if rows != [(day, f"OU {number}", "Amazon EC2", ACCOUNT, Decimal(number + 1))] or total != number + 1:
                wrong.append((rows, total))

    threads = [threading.Thread(target=run, args=(i, day)) for i, day in enumerate(days)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert not wrong
    assert not any(thread.is_alive() for thread in threads)

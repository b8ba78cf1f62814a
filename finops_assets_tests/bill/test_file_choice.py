"""Which files are the bill, decided from a listing and its manifests alone: every layout in which bills are kept."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

import pytest

from finops_assets.core.bill.file_choice import FileChoice, ListedFile, Listing, choose_files
from finops_assets.core.bill.layout import LEFTOVER, OLDER
from finops_assets.core.errors import BillError

T1, T2 = "20250911T060000Z-aaaa", "20250912T060000Z-bbbb"
MANIFEST = "focus-Manifest.json"


def choose(
    files: Sequence[str], manifests: Mapping[str, object] = {}, modified: Mapping[str, datetime] = {}
) -> FileChoice:
    """The choice of these data files and manifests: path -> the keys that it names, or its whole content."""
    contents = {
        path: json.dumps({"dataFiles": said} if isinstance(said, list) else said).encode()
        for path, said in manifests.items()
    }
    now = datetime(2025, 9, 13, tzinfo=UTC)
    listed = [ListedFile(path, 5, modified=modified.get(path, now)) for path in files]
    listed += [ListedFile(path, 5, kind="other", modified=modified.get(path, now)) for path in manifests]
    return choose_files(Listing("the bill", listed, contents.__getitem__))


def paths(choice: FileChoice) -> list[str]:
    return [chosen.path for chosen in choice.files]


PERIODS = [
    "e/data/BILLING_PERIOD=2025-09/a.csv",
    "e/data/billing_period=2025-09/a.csv",
    "e/data/billing_period=2025-9/a.csv",
    "e/data/billing_period=2025-09-01/a.csv",
    "e/data/BILLING_PERIOD%3D2025-09/a.csv",
    "e/data/Billing_Period%3d2025-9/a.csv",
    "e/20250901-20251001/some-assembly/a.csv",
    "e/20250901-20251001/a.csv",
    "e/e/year=2025/month=9/a.csv",
    "e/e/year=2025/month=09/day=03/a.csv",
    "e/e/year%3D2025/month%3D9/a.csv",
]


@pytest.mark.parametrize("path", PERIODS)
def test_a_files_period_is_that_of_its_folder(path: str) -> None:
    """As AWS, Hive's tools and tools that encode names write it."""
    [chosen] = choose([path]).files
    assert (chosen.period, chosen.in_manifest) == ("2025-09", False)


@pytest.mark.parametrize("path", ["a.csv", "e/2025-09/a.csv", "e/billing_period=2025-13/a.csv", "e/year=2025/a.csv"])
def test_other_folders_are_no_billing_period(path: str) -> None:
    """Files in them count all the same."""
    [chosen] = choose([path]).files
    assert (chosen.period, chosen.export) == ("", "")


@pytest.mark.parametrize("folder", ["BILLING_PERIOD=2025-09", "billing_period=2025-9", "BILLING_PERIOD%3D2025-09"])
def test_a_manifest_names_its_files_however_the_folder_is_written(folder: str) -> None:
    """AWS's keys are found in a copy that another tool has written."""
    named = "s3://b/x/e/data/BILLING_PERIOD=2025-09/e 1.csv"
    data = [f"e/data/{folder}/e%201.csv", f"e/data/{folder}/left.csv"]
    choice = choose(data, {f"e/metadata/{folder}/{MANIFEST}": [named]})
    assert (paths(choice), choice.in_place) == (data[:1], False)
    assert [(of.reason, of.example) for of in choice.passed_over] == [(LEFTOVER, data[1])]


def kept(*deliveries: str, export: str = "e") -> list[str]:
    return [f"{export}/data/BILLING_PERIOD=2025-09/{delivery}/e-1.csv" for delivery in deliveries]


def manifest_of(delivery: str, export: str = "e") -> dict[str, object]:
    """A delivery's manifest, in its own folder."""
    path = f"{export}/metadata/BILLING_PERIOD=2025-09/{delivery}/{MANIFEST}"
    return {path: [f"s3://b/{kept(delivery, export=export)[0]}"]}


def test_of_kept_deliveries_the_newest_counts() -> None:
    """Each has a folder of its own with a manifest; the newest is the bill, and gives the delivery's id."""
    choice = choose(kept(T1, T2), {**manifest_of(T1), **manifest_of(T2)})
    assert paths(choice) == kept(T2)
    assert [(of.reason, of.example) for of in choice.passed_over] == [(OLDER, kept(T1)[0])]
    assert choice.deliveries == {"2025-09": T2}


def test_a_delivery_without_a_manifest_is_not_there_yet() -> None:
    """The manifest comes after all data files."""
    assert paths(choose(kept(T1, T2), manifest_of(T1))) == kept(T1)


@pytest.mark.parametrize(("written", "newest"), [(11, 1), (13, 0)])
def test_an_export_that_changed_its_kind_of_delivery_counts_once(written: int, newest: int) -> None:
    """From overwriting to keeping deliveries, or back: what was delivered last counts."""
    overwritten = "e/data/BILLING_PERIOD=2025-09/e-1.csv"
    manifest = f"e/metadata/BILLING_PERIOD=2025-09/{MANIFEST}"
    choice = choose(
        [overwritten, *kept(T2)],
        {manifest: [overwritten], **manifest_of(T2)},
        {manifest: datetime(2025, 9, written, tzinfo=UTC)},
    )
    assert paths(choice) == [[overwritten], kept(T2)][newest]


def test_a_legacy_reports_id_is_that_of_its_assembly() -> None:
    """The manifest beside the assemblies' folders is current; the copies in them are not asked."""
    data = [f"p/r/20250901-20251001/{assembly}/r-1.csv.gz" for assembly in ("aa-new", "zz-old")]
    manifests = {
        "p/r/20250901-20251001/r-Manifest.json": {"assemblyId": "aa-new", "reportKeys": [data[0]]},
        "p/r/20250901-20251001/aa-new/r-Manifest.json": {"assemblyId": "aa-new", "reportKeys": [data[0]]},
        "p/r/20250901-20251001/zz-old/r-Manifest.json": {"assemblyId": "zz-old", "reportKeys": [data[1]]},
    }
    choice = choose(data, manifests)
    assert (paths(choice), choice.deliveries) == (data[:1], {"2025-09": "aa-new"})


def test_an_export_of_azure_is_read_in_its_newest_run() -> None:
    """Each run is the whole month so far, in a folder of its own with a manifest; a newer one of some days is not."""
    runs = {"20250901-20250930/run-1": 11, "20250901-20250930/run-2": 12, "20250901-20250909/run-0": 13}
    data = [f"costs/{run}/part_0_0001.csv" for run in runs]
    manifests = {
        f"costs/{run}/manifest.json": {
            "blobs": [{"blobName": f"exports/costs/{run}/part_0_0001.csv", "byteCount": 5}],
            "runInfo": {"runId": run.rpartition("/")[2]},
        }
        for run in runs
    }
    written = {f"costs/{run}/manifest.json": datetime(2025, 9, day, tzinfo=UTC) for run, day in runs.items()}
    choice = choose(data, manifests, written)
    assert (paths(choice), choice.deliveries) == (data[1:2], {"2025-09": "run-2"})


def test_the_id_that_data_exports_write_is_the_deliverys() -> None:
    """An export that is overwritten has no folder of its own for a delivery."""
    data = "e/data/BILLING_PERIOD=2025-09/e-1.csv"
    said = {"executionId": "f00d", "dataFiles": [f"s3://b/{data}"]}
    assert choose([data], {f"e/metadata/BILLING_PERIOD=2025-09/{MANIFEST}": said}).deliveries == {"2025-09": "f00d"}
    assert choose([data]).deliveries == {}


def test_each_exports_manifest_is_for_its_own_files() -> None:
    """Two payers' exports have files of the same name; one of them has a leftover."""
    data = [f"{payer}/cid/data/BILLING_PERIOD=2025-09/cid-{n}.csv" for payer in ("111", "222") for n in (1, 2)]
    manifests = {
        f"{payer}/cid/metadata/BILLING_PERIOD=2025-09/cid-Manifest.json": [
            f"s3://b/{payer}/cid/data/BILLING_PERIOD=2025-09/cid-{n}.csv" for n in numbers
        ]
        for payer, numbers in (("111", [1]), ("222", [1, 2]))
    }
    choice = choose(data, manifests)
    assert paths(choice) == [data[0], *data[2:]]
    assert choice.shared == {"2025-09": ("111/cid", "222/cid")}


def test_an_export_without_its_files_is_refused_though_another_has_the_month() -> None:
    """The manifest of the one is not taken for the other's."""
    data = "a/data/BILLING_PERIOD=2025-09/x-1.csv"
    manifests = {
        f"{export}/metadata/BILLING_PERIOD=2025-09/x-Manifest.json": [
            f"s3://b/{export}/data/BILLING_PERIOD=2025-09/x-1.csv"
        ]
        for export in "ab"
    }
    with pytest.raises(BillError, match=r"names the 1 data file.* of 2025-09, and none of them is there") as refused:
        choose([data], manifests)
    assert refused.value.where == "b/metadata/BILLING_PERIOD=2025-09/x-Manifest.json"


@pytest.mark.parametrize(
    ("files", "shared"),
    [
        (["a/data/BILLING_PERIOD=2025-09/x.csv", "b/data/BILLING_PERIOD=2025-10/x.csv"], {}),
        (
            ["a/data/BILLING_PERIOD=2025-09/x.csv", "b/data/BILLING_PERIOD=2025-09/x.csv"],
            {"2025-09": ("a", "b")},
        ),
        (["a/20250901-20251001/1/x.csv", "b/data/BILLING_PERIOD=2025-09/x.csv"], {"2025-09": ("a", "b")}),
        (["a/year=2025/month=9/x.csv", "b/year=2025/month=9/x.csv"], {}),  # somebody's own pipeline
        (["september.csv", "a/data/BILLING_PERIOD=2025-09/x.csv"], {}),
    ],
)
def test_exports_that_have_a_period_in_common_are_named(files: list[str], shared: dict) -> None:
    """An old export and its successor share none; whether two are of different payers is for the opened bill."""
    choice = choose(files)
    assert (paths(choice), choice.shared) == (sorted(files), shared)


@pytest.mark.parametrize(
    ("mark", "data", "named"),
    [
        ("t/_delta_log/00000000000000000000.json", "t/part-0.parquet", "Delta Lake"),
        ("_delta_log/00000000000000000010.checkpoint.parquet", "x=1/part-0.parquet", "Delta Lake"),
        ("t/metadata/00001-f00d.metadata.json", "t/data/part-0.parquet", "Apache Iceberg"),
        ("t/.hoodie/hoodie.properties", "t/2025/part-0.parquet", "Apache Hudi"),
    ],
)
def test_a_table_whose_log_decides_is_refused_by_name(mark: str, data: str, named: str) -> None:
    """Files that it has removed lie there still."""
    listed = [ListedFile(mark, kind="other", reason="hidden"), ListedFile(data)]
    with pytest.raises(BillError, match=named):
        choose_files(Listing("the bill", listed, lambda _: b""))


def test_such_a_table_beside_the_bill_is_no_reason_to_refuse_it() -> None:
    """No file of the bill lies in its folder."""
    listed = [ListedFile("t/_delta_log/0.json", kind="other", reason="hidden"), ListedFile("elsewhere/a.csv")]
    assert paths(choose_files(Listing("the bill", listed, lambda _: b""))) == ["elsewhere/a.csv"]

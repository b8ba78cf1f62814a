"""A day is believed by its content: whatever is altered in its object is found when it is read, and a run mends it."""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from obstore.store import MemoryStore

from finops_assets.adapters.shared.archive import ObjectArchive
from finops_assets.core.archive import proof, restatements
from finops_assets.core.errors import DamagedError
from finops_assets.core.ports import Archive
from finops_assets.core.schemas import OU_BREAKDOWN, day_path
from finops_assets.core.values import DayRows
from finops_assets_tests.archive.test_archive import FACTS, day_rows
from finops_assets_tests.support.bills import DAY, line, make_bill, new_archive
from finops_assets_tests.support.on_aws import make_ready, platform_on

ROWS = day_rows(("Eng", "EC2", "1", "0.1"), ("Eng", "S3", "1", "2.25"), ("Büro", "S3", "22", "-0.3"))
NEXT = DAY + timedelta(days=1)


@pytest.fixture(params=["folder", "S3", "memory"])
def archive(request: pytest.FixtureRequest, tmp_path: Path) -> Archive:
    if request.param == "folder":
        return new_archive(tmp_path)
    if request.param == "memory":
        return ObjectArchive(MemoryStore())
    aws = request.getfixturevalue("aws")
    make_ready(aws, make_bill(tmp_path / "nothing", [line(1)]).parent)
    return platform_on(aws, tmp_path).archive


def rewritten(data: bytes, change: Callable[[pa.Table], pa.Table] = lambda table: table, **footer: str | None) -> bytes:
    """An object with other rows, or other footer entries (None takes one away), as somebody else's script writes it."""
    table = pq.read_table(pa.BufferReader(data))
    said = {key.decode(): value.decode() for key, value in table.schema.metadata.items()}
    said |= {proof.FOOTER_PREFIX + name: value for name, value in footer.items()}
    said = {name: value for name, value in said.items() if value is not None}
    sink = pa.BufferOutputStream()
    pq.write_table(change(table).replace_schema_metadata(said), sink, compression="zstd")
    return sink.getvalue().to_pybytes()


def with_costs(*costs: float) -> Callable[[pa.Table], pa.Table]:
    return lambda table: table.set_column(4, OU_BREAKDOWN.field(4), pa.array(costs))


def of(column: str, *values: str) -> Callable[[pa.Table], pa.Table]:
    number = OU_BREAKDOWN.names.index(column)
    return lambda table: table.set_column(number, OU_BREAKDOWN.field(number), pa.array(values))


ALTERED: list[tuple[str, Callable[[bytes], bytes], str]] = [
    ("one cost is 100 dearer", lambda d: rewritten(d, with_costs(100.1, 2.25, -0.3)), "sum to 102.05"),
    ("money moved between rows", lambda d: rewritten(d, with_costs(0.2, 2.15, -0.3)), "not those that were written"),
    ("the last bit of a cost", lambda d: rewritten(d, with_costs(0.1, 2.25, -0.30000000000000004)), "not those that"),
    ("another OU", lambda d: rewritten(d, of("ou", "Eng", "Büro", "Büro")), "not those that were written"),
    ("another account", lambda d: rewritten(d, of("linkedaccount", "1", "12", "2")), "not those that were written"),
    ("rows in another order", lambda d: rewritten(d, lambda t: t.take([1, 0, 2])), "not those that were written"),
    ("a row less", lambda d: rewritten(d, lambda t: t.slice(1)), "has 2 rows, and says 3"),
    ("a row twice", lambda d: rewritten(d, lambda t: t.take([0, 0, 2])), "Eng / EC2 / 1 is there twice"),
    ("no number", lambda d: rewritten(d, with_costs(float("nan"), 2.25, -0.3)), "sum to nan"),
    ("a null", lambda d: rewritten(d, lambda t: of("ou", "Eng", None, "Büro")(t)), "nulls in ou"),
    ("another schema", lambda d: rewritten(d, lambda t: t.drop_columns(["ou"])), "has the columns billingdate"),
    ("another day's", lambda d: rewritten(d, day=str(NEXT)), f"is of {NEXT}"),
    ("another total", lambda d: rewritten(d, total="2.0500001"), "and it says 2.0500001"),
    ("no total at all", lambda d: rewritten(d, total="much"), "its footer cannot be read"),
    ("an endless total", lambda d: rewritten(d, total="Infinity"), "a total of Infinity"),
    ("rows that are no number", lambda d: rewritten(d, rows="three"), "its footer cannot be read"),
    ("not written by us", lambda d: rewritten(d, fingerprint=None), "was not written by finops_assets"),
    ("cut in half", lambda d: d[: len(d) // 2], "is damaged"),
    ("emptied", lambda _: b"", "is damaged"),
    ("a page of zeros", lambda d: d[:4] + b"\0" * 60 + d[64:], "is damaged"),
]


@pytest.mark.parametrize(("name", "alter", "says"), ALTERED, ids=[case[0] for case in ALTERED])
def test_altered_rows_are_found_and_mended_by_a_run(
    tmp_path: Path, name: str, alter: Callable[[bytes], bytes], says: str
) -> None:
    """Proving names the fault, reading refuses the day with its cure, and publishing the same day again is the cure."""
    archive = new_archive(tmp_path)
    first = archive.publish(ROWS, FACTS)
    good = archive.get(first.path)
    assert archive.prove(DAY) == ""
    archive.put(first.path, alter(good))
    assert says in archive.prove(DAY), name
    with pytest.raises(DamagedError, match=f"finops run --date {DAY}") as error:
        archive.read([DAY])
    assert error.value.where == day_path(DAY)
    told = []
    again = archive.publish(ROWS, FACTS, told.append)
    assert (again.changed, archive.get(first.path)) == (True, good)
    assert told == [], "rows that nobody published are no earlier version of the bill"
    assert archive.prove(DAY) == ""
    assert len(archive.versions(DAY)) == 2, "the damaged object stays as a version"


def test_every_flipped_byte_of_the_rows_is_found(tmp_path: Path) -> None:
    """Whichever byte before the footer flips, the object does not prove, or gives the very rows that were written."""
    archive = new_archive(tmp_path)
    good = archive.get(archive.publish(ROWS, FACTS).path)
    pages = len(good) - 8 - struct.unpack("<I", good[-8:-4])[0]
    unseen = []
    for place in range(4, pages):
        data = good[:place] + bytes([good[place] ^ 0xFF]) + good[place + 1 :]
        try:
            if proof.prove(data, DAY).rows != ROWS.rows:
                unseen.append(place)
        except DamagedError:
            continue
    assert unseen == []


def test_every_archive_proves_what_it_reads(archive: Archive) -> None:
    """A folder, S3 and memory: whole days are read, a damaged one is named, an absent one too."""
    archive.publish(ROWS, FACTS)
    archive.publish(day_rows(("Eng", "EC2", "1", "1"), day=NEXT), FACTS)
    assert [archive.prove(day) for day in (DAY, NEXT)] == ["", ""]
    assert archive.prove(NEXT + timedelta(days=1)) == "is not in the archive"
    archive.put(day_path(DAY), rewritten(archive.get(day_path(DAY)), with_costs(0.2, 2.15, -0.3)))
    assert archive.describe(DAY).total == Decimal("2.05"), "the footer is as it was"
    assert "not those that were written" in archive.prove(DAY)
    with pytest.raises(DamagedError) as error:
        archive.read([DAY, NEXT])
    assert error.value.where == day_path(DAY)
    assert archive.read([NEXT]).num_rows == 1


def test_the_content_hash_is_made_again_from_the_values_alone(tmp_path: Path) -> None:
    """As an auditor does, with what any Parquet reader gives; rows, schema and the other entries are as ever."""
    archive = new_archive(tmp_path)
    data = archive.get(archive.publish(ROWS, {**FACTS, "content": "of an older object"}).path)
    table = pq.read_table(pa.BufferReader(data))
    values = table.to_pydict()
    sha256 = hashlib.sha256(struct.pack("<Q", 3))
    for name in ("ou", "service", "linkedaccount"):
        texts = [value.encode() for value in values[name]]
        sha256.update(struct.pack("<3i", *map(len, texts)) + b"".join(texts))
    sha256.update(struct.pack("<3i", *((day - DAY.replace(1970, 1, 1)).days for day in values["billingdate"])))
    sha256.update(struct.pack("<3d", *values["dailycost"]))
    assert table.schema.metadata[b"finops.content"].decode() == sha256.hexdigest()
    assert proof.prove(data, DAY).content == sha256.hexdigest()
    assert table.schema.remove_metadata().equals(OU_BREAKDOWN)
    names = {"day", "rows", "total", "unassigned", "fingerprint", "currency", "cost_basis", "content"}
    assert {key.decode().removeprefix("finops.") for key in table.schema.metadata if key != b"ARROW:schema"} == names


def test_the_content_hash_does_not_depend_on_batches_and_slices() -> None:
    """The same rows have the same hash however they lie in memory; each value counts, and where it stands."""
    whole = proof.content_hash(ROWS.rows)
    twice = pa.concat_tables([ROWS.rows, ROWS.rows])
    assert proof.content_hash(twice.slice(3)) == whole
    assert proof.content_hash(pa.concat_tables([ROWS.rows.slice(0, 1), ROWS.rows.slice(1)])) == whole
    moved = ROWS.rows.set_column(2, "service", pa.array(["EC", "2S3", "S3"]))
    empty = ROWS.rows.set_column(2, "service", pa.array(["", "", ""]))
    assert len({whole, proof.content_hash(moved), proof.content_hash(empty), proof.content_hash(twice)}) == 4


# --- objects of older releases --------------------------------------------------------------------------------------

LONG = day_rows(("Eng", "EC2", "1", "123456.123456789012"), ("Eng", "S3", "1", "0.000000000007"))
"""A cost of 18 digits: its double does not give the twelfth decimal back."""


@pytest.mark.parametrize(("rows", "unproved"), [(ROWS, False), (LONG, True)], ids=["short costs", "long costs"])
def test_an_object_without_a_content_hash_is_proved_as_far_as_it_goes(
    tmp_path: Path, rows: DayRows, unproved: bool
) -> None:
    """It is read and left as it is; its fingerprint proves it where the decimals come back, else that is said."""
    archive = new_archive(tmp_path)
    first = archive.publish(rows, FACTS)
    old = rewritten(archive.get(first.path), content=None)
    archive.put(first.path, old)
    assert (archive.prove(DAY), archive.read([DAY]).num_rows) == ("", rows.rows.num_rows)
    found = proof.prove(old, DAY)
    assert not found.has_content_hash
    assert ("only rows and total are proved" in found.not_proved()) == unproved
    assert not archive.publish(rows, FACTS).changed
    assert archive.get(first.path) == old, "an archive is not rewritten for a hash"


def test_an_old_object_is_still_held_to_rows_and_total(tmp_path: Path) -> None:
    """Without the hash, a total that differs by a thousandth of a cent and text that is none are found."""
    archive = new_archive(tmp_path)
    old = rewritten(archive.get(archive.publish(ROWS, FACTS).path), content=None)
    assert proof.prove(old, DAY).not_proved() == ""
    with pytest.raises(DamagedError, match=r"rows sum to 2\.05001.*, and it says 2\.05"):
        proof.prove(rewritten(old, with_costs(0.10001, 2.25, -0.3)), DAY)
    moved = rewritten(old, with_costs(0.2, 2.15, -0.3))
    assert "cannot be made again" in proof.prove(moved, DAY).not_proved()
    broken = pa.StringArray.from_buffers(1, pa.py_buffer(struct.pack("<2i", 0, 2)), pa.py_buffer(b"\xff\xfe"))
    one = day_rows(("En", "EC2", "1", "1"))
    data = archive.get(archive.publish(one, FACTS).path)
    with pytest.raises(DamagedError, match="UTF8"):
        proof.prove(rewritten(data, lambda t: t.set_column(1, OU_BREAKDOWN.field(1), broken), content=None), DAY)
    archive.put(day_path(DAY), moved)
    assert archive.publish(ROWS, FACTS).changed, "publishing compares rows, not footers"
    assert archive.read([DAY])["dailycost"].to_pylist() == ROWS.rows["dailycost"].to_pylist()


def test_a_cast_of_another_engine_does_not_rewrite_a_day(tmp_path: Path) -> None:
    """The same decimal is a double one unit off there: the object proves, says the same, and stays."""
    archive = new_archive(tmp_path)
    first = archive.publish(ROWS, FACTS)
    other = replace(ROWS, rows=with_costs(0.1, 2.25, -0.30000000000000004)(ROWS.rows))
    assert other.rows != ROWS.rows
    assert not archive.publish(other, FACTS).changed
    assert archive.describe(DAY).version == first.version


def test_other_rows_of_the_same_footer_are_written_without_a_restatement(tmp_path: Path) -> None:
    """The bill has not changed: only the object was damaged, which is no restatement; a changed bill is one."""
    archive = new_archive(tmp_path)
    first = archive.publish(ROWS, FACTS)
    archive.put(first.path, rewritten(archive.get(first.path), with_costs(0.2, 2.15, -0.3)))
    changed = day_rows(("Eng", "EC2", "1", "9"))
    told = []
    assert archive.publish(changed, FACTS, told.append).changed
    assert told == []
    archive.publish(replace(ROWS), FACTS, told.append)
    assert [before.total for before in told] == [9]
    assert restatements.differences(changed.rows, archive.read([DAY]).select(OU_BREAKDOWN.names))

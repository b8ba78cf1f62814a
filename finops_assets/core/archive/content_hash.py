"""The hash of a day's object by its values, which anybody can make again who can read Parquet."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import TYPE_CHECKING

from finops_assets.core.schemas import CHARGES_OF_ROW, KEY_COLUMNS

if TYPE_CHECKING:
    import pyarrow as pa


def content_hash(rows: pa.Table) -> str:
    """The SHA-256 of a day's rows as they are stored, in hexadecimal: the footer's `finops.content`.

    An auditor makes it again from the values that any Parquet reader gives, in the order of the file. The hash is over
    these bytes, one after the other:

    1. the number of rows, as a little-endian integer of 8 bytes;
    2. for each of `ou`, `service` and `linkedaccount`, in this order: the length in bytes of every value's UTF-8 text,
       as little-endian integers of 4 bytes, then the texts themselves with nothing between them;
    3. every `billingdate`, as days since 1970-01-01 in little-endian integers of 4 bytes;
    4. every `dailycost`, as little-endian IEEE 754 doubles of 8 bytes.

    Args:
        rows: in the OU_BREAKDOWN schema, without nulls. Of none, there is only the first part.
    """
    sha256 = _hash_of_keys(rows)
    if rows.num_rows:
        sha256.update(_values(rows.column("billingdate").combine_chunks(), 4))
        sha256.update(_values(rows.column("dailycost").combine_chunks(), 8))
    return sha256.hexdigest()


def charges_hash(charges: pa.Table) -> str:
    """The SHA-256 of a day's charges as they are stored: the `finops.content` of their own object.

    Made as `content_hash`, but that the costs are, column by column, a byte 1 and every decimal in units of the twelfth
    place as little-endian integers of 16 bytes, or a byte 0 alone where the column is null on every row.

    Args:
        charges: in the OU_CHARGES schema; a column has a value on every row, or on none.
    """
    sha256 = _hash_of_keys(charges)
    if charges.num_rows:
        sha256.update(_values(charges.column("billingdate").combine_chunks(), 4))
        for name in CHARGES_OF_ROW:
            column = charges.column(name).combine_chunks()
            sha256.update(b"\0" if column.null_count else b"\1")
            if not column.null_count:
                sha256.update(_values(column, 16))
    return sha256.hexdigest()


def dimensions_hash(dimensions: pa.Table) -> str:
    """The SHA-256 of a day's dimensions as they are stored: the `finops.content` of their own object.

    Made as `content_hash`, over `dimension`, `value`, `ou`, `service` and `linkedaccount`, then every `billingdate`,
    then every `cost` in units of the twelfth place as little-endian integers of 16 bytes.

    Args:
        dimensions: in the DIMENSION_BREAKDOWN schema, without nulls.
    """
    sha256 = _hash_of_keys(dimensions, ("dimension", "value", *KEY_COLUMNS))
    if dimensions.num_rows:
        sha256.update(_values(dimensions.column("billingdate").combine_chunks(), 4))
        sha256.update(_values(dimensions.column("cost").combine_chunks(), 16))
    return sha256.hexdigest()


def commitments_hash(commitments: pa.Table) -> str:
    """The SHA-256 of a day's commitments as they are stored: the `finops.content` of their own object.

    Made as `content_hash`, over `commitmentid`, `kind`, `ou` and `linkedaccount`, then every other column from
    `billingdate` on: a byte 1 or 0 for every value that is there or null, then the values, null as 0, as little-endian
    integers: of 4 bytes for days since 1970-01-01, of 16 for costs in units of the twelfth place.

    Args:
        commitments: in the COMMITMENTS schema.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    keys = ("commitmentid", "kind", "ou", "linkedaccount")
    sha256 = _hash_of_keys(commitments, keys)
    for name in commitments.column_names if commitments.num_rows else ():
        if name not in keys:
            column = commitments.column(name).combine_chunks()
            sha256.update(bytes(map(int, column.is_valid().to_pylist())))
            zero = pa.scalar(0, pa.int32()).cast(column.type)
            sha256.update(_values(pc.fill_null(column, zero), column.type.bit_width // 8))
    return sha256.hexdigest()


def _hash_of_keys(rows: pa.Table, names: Sequence[str] = KEY_COLUMNS) -> hashlib._Hash:
    """The hash so far: the number of rows, and the text of each."""
    import pyarrow.compute as pc

    sha256 = hashlib.sha256(rows.num_rows.to_bytes(8, "little"))
    if rows.num_rows:
        for name in names:
            column = rows.column(name).combine_chunks()
            sha256.update(_values(pc.binary_length(column), 4))
            sha256.update(_text(column))
    return sha256


def _values(column: pa.Array, width: int) -> memoryview:
    """The bytes of an array of numbers."""
    return memoryview(column.buffers()[1])[column.offset * width : (column.offset + len(column)) * width]


def _text(column: pa.Array) -> memoryview:
    """The bytes of all values of an array of strings, one after the other."""
    _, offsets, text = column.buffers()
    ends = memoryview(offsets).cast("i")
    return memoryview(text or b"")[ends[column.offset] : ends[column.offset + len(column)]]

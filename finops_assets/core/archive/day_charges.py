"""A day's charges as an object of the archive: what each row of the breakdown is made of, in exact decimals.

The object is put before the breakdown, which names its fingerprint: that one PUT stays the commit. Charges of another
fingerprint are of another state of the day, and no reader is given them.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from decimal import Decimal
from typing import TYPE_CHECKING

from finops_assets.core.archive.content_hash import charges_hash
from finops_assets.core.bill.charge_kinds import by_column
from finops_assets.core.errors import DamagedError
from finops_assets.core.money import plain
from finops_assets.core.schemas import CATEGORY_COLUMNS, CHARGES, MAY_BE_UNKNOWN, OU_CHARGES, charges_path

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq

    from finops_assets.core.ports import Archive
    from finops_assets.core.values import DayRows, PublishedDay, SourceDay

ABSENT = "the table ou_charges does not have it"
OTHERS = "the table ou_charges has it of other rows"
DAMAGED = "its charges are damaged: they are not those that were written"
FINGERPRINT, CONTENT = "fingerprint", "content"
"""Entries of the object's own metadata: an id of the charges, and the hash of its values (`charges_hash`)."""


def encode(day: DayRows, facts: Mapping[str, str]) -> bytes:
    """The object of a day's charges: Snappy Parquet, with metadata under `finops.` keys.

    Args:
        day: one that has charges.
        facts: the metadata of the day's rows.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    charges = day.charges
    assert charges is not None, "the day was made by this release"
    footer = {name: facts[name] for name in ("day", "rows", "total", "currency", "cost_basis")}
    footer |= {FINGERPRINT: day.charges_fingerprint, CONTENT: charges_hash(charges)}
    schema = OU_CHARGES.with_metadata({f"finops.{key}": value for key, value in footer.items()})
    sink = pa.BufferOutputStream()
    pq.write_table(charges.cast(OU_CHARGES).replace_schema_metadata(schema.metadata), sink, compression="snappy")
    return sink.getvalue().to_pybytes()


def decode(data: bytes | None, day: date, fingerprint: str) -> pa.Table:
    """The charges of a day, proved to be those of this fingerprint by their content.

    Args:
        data: the object; None where there is none.
        day: the day.
        fingerprint: as the day's breakdown names it.

    Raises:
        DamagedError: there is none, it cannot be read, or it is of another state of the day.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    if data is None:
        raise _error(day, ABSENT)
    try:
        file = pq.ParquetFile(pa.BufferReader(data))
        footer = {key.decode().removeprefix("finops."): value.decode() for key, value in _metadata(file).items()}
        charges = file.read(use_threads=False).replace_schema_metadata()
        charges.validate(full=True)
    except (pa.ArrowException, OSError, UnicodeDecodeError):
        raise _error(day, DAMAGED) from None
    if footer.get(FINGERPRINT) != fingerprint:
        raise _error(day, OTHERS)
    whole = charges.schema.equals(OU_CHARGES) and charges.num_rows == int(footer.get("rows", -1))
    half_known = whole and any(0 < charges.column(n).null_count < charges.num_rows for n in MAY_BE_UNKNOWN)
    if not whole or half_known or footer.get(CONTENT) != charges_hash(charges):
        raise _error(day, DAMAGED)
    return charges


def _metadata(file: pq.ParquetFile) -> Mapping[bytes, bytes]:
    return file.schema_arrow.metadata or {}


def _error(day: date, fault: str) -> DamagedError:
    return DamagedError(fault, where=charges_path(day), fix=f"Run `finops run --date {day}`.")


def named_charges(footer: Mapping[str, str]) -> str:
    """The fingerprint of the charges that a day's breakdown was made from; empty of days of older releases."""
    return footer.get(CHARGES, "")


def charges_fault_of(archive: Archive, published: PublishedDay) -> str:
    """How the charges of an archived day are not those that its rows were made from; empty where they are."""
    fingerprint = named_charges(published.metadata)
    try:
        if fingerprint:
            archive.charges(published.day, fingerprint)
    except DamagedError as error:
        return error.what
    return ""


def charges_fault(day: DayRows, source: SourceDay | None) -> str:
    """How a day's charges are not the bill's, by row or by category; empty where they are.

    Each row's categories sum to its exact cost, each category of the day to what the bill says of it, and the scheduled
    part likewise. The amounts of the bill come from another query, which knows no OU.
    """
    import pyarrow.compute as pc

    charges = day.charges
    if charges is None:
        return ""
    sums = {name: pc.sum(charges.column(name)).as_py() or Decimal() for name in (*CATEGORY_COLUMNS, "scheduledcost")}
    if charges.num_rows != day.rows.num_rows:
        return f"{charges.num_rows} rows have charges, {day.rows.num_rows} a cost"
    if (total := sum((sums[name] for name in CATEGORY_COLUMNS), Decimal())) != day.total:
        return f"the categories sum to {plain(total)}, the rows to {plain(day.total)}"
    wanted = by_column(source.by_category if source else {})
    wanted["scheduledcost"] = source.scheduled if source else Decimal()
    differing = [
        f"{name} is {plain(sums[name])}, in the bill {plain(wanted[name])}"
        for name in sums
        if sums[name] != wanted[name]
    ]
    return "; ".join(differing)

"""The parts of a day's change as the archive keeps them: finops_db.moved_parts, one object a day.

It is made with the day's scorecard, and names the state of both days that it was made of. With other rows of one of
them, nobody is given it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from finops_assets.core.analytics.anomalies import Key
from finops_assets.core.analytics.cost_causes import part_causes
from finops_assets.core.analytics.drivers import refuse_unsound, rows_below
from finops_assets.core.analytics.moved_parts import Part
from finops_assets.core.notes import parsing
from finops_assets.core.schemas import KEY_COLUMNS, MOVED_PARTS, moved_parts_path

if TYPE_CHECKING:
    import pyarrow as pa

    from finops_assets.core.values import PublishedDay

EFFECT_COLUMNS = {
    "new_account": "newaccount",
    "gone_account": "goneaccount",
    "moved": "moved",
    "volume": "volume",
    "price": "price",
    "coverage": "coverage",
    "exchange": "exchange",
    "other": "other",
}
"""Effects of a part, and their columns."""

MADE_OF = b"finops.made_of"
"""In the object's metadata: the states of both days that it was made of (`made_of`)."""


@dataclass(frozen=True)
class KeptParts:
    """The parts of what moved between two days.

    Attributes:
        day, against: the days.
        made_of: an id of the rows of both that they were made of.
        rows: in the MOVED_PARTS schema, by OU, service, account and place.
    """

    day: date
    against: date
    made_of: str
    rows: pa.Table

    def of(self, key: Key) -> list[Part]:
        """The parts of an OU (with all below it, where it is of all services and accounts), a service, an account."""
        import pyarrow.compute as pc

        if key[1] or key[2]:
            rows = self.rows
            for name, value in zip(KEY_COLUMNS, key, strict=True):
                rows = rows.filter(pc.equal(rows.column(name), value)) if value else rows
        else:
            rows = rows_below(self.rows, key[0])
        return [_part(row) for row in rows.to_pylist()]

    def within(self, ou: str) -> KeptParts:
        """Those of an OU and all below it alone."""
        return replace(self, rows=rows_below(self.rows, ou))


def made_of(day: PublishedDay, against: PublishedDay) -> str:
    """An id of what the parts of a day's change are made of: the rows of two days, and what their amounts are in."""
    facts = (day.fingerprint, day.currency, day.cost_basis, against.day, against.fingerprint)
    return sha256(" ".join(map(str, facts)).encode()).hexdigest()


def kept_parts(day: PublishedDay, against: PublishedDay, parts: Sequence[Part]) -> KeptParts:
    """The parts as they are kept.

    Args:
        day, against: the days, as they are archived.
        parts: of `moved_parts`; those of one OU, service and account follow each other, the largest first.
    """
    import pyarrow as pa

    places: list[int] = []
    before: tuple[str, str, str] | None = None
    for part in parts:
        key = part.ou, part.service, part.account
        places.append(places[-1] + 1 if key == before else 1)
        before = key
    columns: dict[str, Any] = {
        "billingdate": [day.day] * len(parts),
        "comparedwith": [against.day] * len(parts),
        "ou": [part.ou for part in parts],
        "service": [part.service for part in parts],
        "linkedaccount": [part.account for part in parts],
        "part": places,
        "partkind": [part.kind for part in parts],
        "cause": [kind.replace("_", " ") for kind in part_causes(parts)],
        "usagetype": [part.usage_type for part in parts],
        "region": [part.region for part in parts],
        "resource": [part.resource for part in parts],
        "costbefore": [part.before for part in parts],
        "costnow": [part.now for part in parts],
        "change": [part.delta for part in parts],
        "quantitybefore": [part.quantity_before for part in parts],
        "quantitynow": [part.quantity_now for part in parts],
        **{column: [part.effects.get(name, Decimal()) for part in parts] for name, column in EFFECT_COLUMNS.items()},
        "isnewregion": [part.is_new_region for part in parts],
        "currency": [day.currency] * len(parts),
        "costbasis": [day.cost_basis] * len(parts),
    }
    arrays = [pa.array(columns[field.name], field.type) for field in MOVED_PARTS]
    return KeptParts(day.day, against.day, made_of(day, against), pa.Table.from_arrays(arrays, schema=MOVED_PARTS))


def to_parquet(parts: KeptParts) -> bytes:
    """The day's object; the same parts give the same bytes."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    metadata = {MADE_OF: parts.made_of, b"finops.day": f"{parts.day}", b"finops.against": f"{parts.against}"}
    sink = pa.BufferOutputStream()
    pq.write_table(parts.rows.replace_schema_metadata(metadata), sink, compression="snappy")
    return sink.getvalue().to_pybytes()


def read(data: bytes) -> KeptParts:
    """The parts of an archived object.

    Raises:
        DamagedError: it is none, or what made a part does not sum to its change.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    with parsing("the parts of a day's change", "moved-parts/", pa.ArrowException, OSError):
        table = pq.ParquetFile(pa.BufferReader(data)).read()
        facts = table.schema.metadata or {}
        day, against = (date.fromisoformat(facts[name].decode()) for name in (b"finops.day", b"finops.against"))
        of, rows = facts[MADE_OF].decode(), table.select(MOVED_PARTS.names).cast(MOVED_PARTS)
        rows.validate(full=True)
        for effects in (tuple(EFFECT_COLUMNS.values()), ("change",)):
            refuse_unsound(rows, effects, ("costbefore", "costnow"), moved_parts_path(day))
    return KeptParts(day, against, of, rows)


def _part(row: dict[str, Any]) -> Part:
    return Part(
        ou=row["ou"],
        service=row["service"],
        account=row["linkedaccount"],
        kind=row["partkind"],
        usage_type=row["usagetype"],
        region=row["region"],
        resource=row["resource"],
        before=row["costbefore"],
        now=row["costnow"],
        quantity_before=row["quantitybefore"],
        quantity_now=row["quantitynow"],
        effects={name: row[column] for name, column in EFFECT_COLUMNS.items() if row[column]},
        is_new_region=row["isnewregion"],
    )

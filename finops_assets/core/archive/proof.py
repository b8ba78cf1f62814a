"""Proves that a day's object holds the rows that were written, by its content and not by its footer alone.

An object says of itself, in its Parquet footer, how many rows it has, their exact total, their fingerprint and, since
the release that introduced this module, `finops.content`: a SHA-256 of the rows as they are stored. The fingerprint is
of exact decimals of twelve places, which the stored doubles do not always give back; the content hash can be made again
by anybody who can read the Parquet file, and does not depend on how it is encoded.

Nothing here belongs to a store: bytes go in, and proved rows or a DamagedError come out.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING

from finops_assets.core.archive import breakdown
from finops_assets.core.archive.content_hash import content_hash
from finops_assets.core.archive.day_checks import key_fault, null_fault
from finops_assets.core.errors import DamagedError
from finops_assets.core.money import from_double
from finops_assets.core.schemas import MONEY, OU_BREAKDOWN, day_path
from finops_assets.core.values import DayRows

if TYPE_CHECKING:
    import pyarrow as pa

FOOTER_PREFIX = "finops."
CONTENT = "content"
"""The footer's entry (`finops.content`) with the hash of the rows."""

NEEDED = frozenset(("rows", "total", "currency", "cost_basis", "fingerprint"))
"""Footer entries that every object of finops_assets has."""

EPOCH = date(1970, 1, 1)
ROUNDING = 1e-12
"""How far the sum of the doubles may be from the exact total: of the costs' absolute sum, and for each row.

A double is within 1.1e-16 of its decimal. An alteration that this hides is a billionth of a cent.
"""


@dataclass(frozen=True)
class ProvedDay:
    """A day's object whose rows are those that were written.

    Attributes:
        day: the day.
        rows: in the OU_BREAKDOWN schema.
        footer: the object's metadata, without the prefix of the keys.
        content: the hash of the rows, as `content_hash` makes it.
    """

    day: date
    rows: pa.Table
    footer: Mapping[str, str]
    content: str

    @property
    def has_content_hash(self) -> bool:
        """Whether the object itself holds the hash; those of releases before it have none."""
        return CONTENT in self.footer

    def as_written(self) -> DayRows:
        """The day as it is published."""
        return DayRows(
            day=self.day,
            rows=self.rows,
            total=Decimal(self.footer["total"]),
            unassigned=Decimal(self.footer.get("unassigned", "0")),
            fingerprint=self.footer["fingerprint"],
        )

    def not_proved(self) -> str:
        """What of an object without a content hash could not be proved; empty where everything was.

        Its fingerprint proves every row where the doubles give the decimals back. Where they do not, a fingerprint
        that differs says nothing: then rows and total are proved, and no single cost is.
        """
        if self.has_content_hash or self._fingerprint() == self.footer["fingerprint"]:
            return ""
        return "it has no content hash, and its fingerprint cannot be made again: only rows and total are proved"

    def _fingerprint(self) -> str:
        import pyarrow as pa

        # By the shortest text of each double: Arrow's own cast rounds some of them one unit off.
        costs = pa.array([from_double(cost) for cost in self.rows.column("dailycost").to_pylist()], MONEY)
        return breakdown.fingerprint(self.rows.append_column("cost", costs))


def same_rows(stored: pa.Table, wanted: pa.Table) -> bool:
    """Whether two days have the same rows: keys in the same order, and costs that differ by a cast's rounding at most.

    The same decimal becomes a double one unit off in the last place by another engine, or another release of it.
    """
    import pyarrow.compute as pc

    keys = [name for name in OU_BREAKDOWN.names if name != "dailycost"]
    if not stored.select(keys).equals(wanted.select(keys)):
        return False
    old, new = stored.column("dailycost"), wanted.column("dailycost")
    apart, allowed = pc.abs(pc.subtract(old, new)), pc.multiply(pc.abs(new), ROUNDING)
    return bool(pc.all(pc.less_equal(apart, allowed)).as_py())


def read_footer(data: bytes, day: date) -> dict[str, str]:
    """The metadata in the footer of a day's object, without its rows.

    Raises:
        DamagedError: it is no complete Parquet file, or was not written by finops_assets.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        return _footer(pq.read_schema(pa.BufferReader(data)), day)
    except (pa.ArrowException, OSError) as error:  # OSError: of a footer that makes no sense
        raise damaged(day, f"is damaged: {_first_line(error)}") from None


def prove(data: bytes, day: date) -> ProvedDay:
    """The rows of a day's object, proved to be those that were written.

    It has to be a readable Parquet file in today's schema, hold rows of that day alone, each key once, without nulls,
    as many and with the total that its footer says, and with the content hash that its footer says, if there is one.

    Args:
        data: the object.
        day: the day that it must be of.

    Raises:
        DamagedError: it is not; it says why.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        file = pq.ParquetFile(pa.BufferReader(data))
        footer = _footer(file.schema_arrow, day)
        # Days are small: Arrow's own threads cost three times what they save.
        rows = file.read(use_threads=False).replace_schema_metadata()
    except (pa.ArrowException, OSError) as error:
        raise damaged(day, f"is damaged: {_first_line(error)}") from None
    fault = _fault(rows, footer, day)
    if fault:
        raise damaged(day, fault)
    content = content_hash(rows)
    if footer.get(CONTENT, content) != content:
        raise damaged(day, "is damaged: its rows are not those that were written")
    return ProvedDay(day, rows, footer, content)


def damaged(day: date, fault: str) -> DamagedError:
    """The error of a day's object that cannot be proved."""
    return DamagedError(fault, where=day_path(day), fix=f"Run `finops run --date {day}`.")


def is_empty_day(footer: Mapping[str, str]) -> bool:
    """Whether the bill had no line on the day, by what the day's object says of itself."""
    return footer.get("source_lines") == "0" and not Decimal(footer["total"])


def _footer(schema: pa.Schema, day: date) -> dict[str, str]:
    entries = schema.metadata or {}
    try:
        footer = {
            key.decode().removeprefix(FOOTER_PREFIX): value.decode()
            for key, value in entries.items()
            if key.startswith(FOOTER_PREFIX.encode())
        }
        if not footer.keys() >= NEEDED:
            raise damaged(day, "was not written by finops_assets")
        if int(footer["rows"]) < 0 or not Decimal(footer["total"]).is_finite():
            raise damaged(day, f"is damaged: its footer says {footer['rows']} rows and a total of {footer['total']}")
    except (ValueError, InvalidOperation) as error:
        raise damaged(day, f"is damaged: its footer cannot be read ({error!r})") from None
    return footer


def _fault(rows: pa.Table, footer: Mapping[str, str], day: date) -> str:
    """How the rows are not what the footer says, the content hash aside; empty where they are."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if footer.get("day", str(day)) != str(day):
        return f"is of {footer['day']}"
    if not rows.schema.equals(OU_BREAKDOWN):
        return f"has the columns {', '.join(f'{f.name} {f.type}' for f in rows.schema)}"
    if rows.num_rows != int(footer["rows"]):
        return f"has {rows.num_rows:,} rows, and says {int(footer['rows']):,}"
    if not rows.num_rows:
        return "" if is_empty_day(footer) else "has no row, and does not say that the bill has none"
    try:
        rows.validate(full=True)  # text that is no UTF-8 would raise where it is first shown
    except pa.ArrowInvalid as error:
        return f"is damaged ({_first_line(error)})"
    if fault := null_fault(rows) or key_fault(rows):
        return f"is damaged ({fault})"
    ends = pc.min_max(rows.column("billingdate").cast(pa.int32())).as_py()  # as numbers: dates end with year 9999
    others = sorted({ends["min"], ends["max"]} - {(day - EPOCH).days})
    if others:
        return f"has rows of {', '.join(map(_day_words, others))}"
    costs, total = rows.column("dailycost"), Decimal(footer["total"])
    tolerance = ROUNDING * (pc.sum(pc.abs(costs)).as_py() + rows.num_rows)
    stored_sum = pc.sum(costs).as_py()
    if not abs(stored_sum - float(total)) <= tolerance:  # also where a cost is no number
        return f"is damaged: its rows sum to {stored_sum:.12f}, and it says {total}"
    return ""


def _day_words(number: int) -> str:
    """A day by its number since 1970; one that no calendar has by the number alone."""
    try:
        return str(EPOCH + timedelta(days=number))
    except OverflowError:
        return f"day {number} from {EPOCH}"


def _first_line(error: Exception) -> str:
    return next(iter(str(error).splitlines()), "") or repr(error)

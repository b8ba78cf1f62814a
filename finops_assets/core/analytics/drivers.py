"""Why a day cost another amount than the day it is compared with: a decomposition whose amounts add up to the change.

An engine sums the lines of both days by account and service, and says what makes the difference there
(`core.bill.drivers_sql`). The sums meet the organization, accounts that came, went and moved, in `driver_sums`.
"""

from __future__ import annotations

import functools
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal
from typing import TYPE_CHECKING

import pyarrow as pa

from finops_assets.core.accounts.ous import ALL, within
from finops_assets.core.errors import DamagedError
from finops_assets.core.money import DIGITS, PLACES, change, to_cents
from finops_assets.core.notes import parsing
from finops_assets.core.schemas import MONEY

if TYPE_CHECKING:
    from finops_assets.core.archive.day_costs import Key

EFFECTS = {
    "new_account": "new accounts",
    "gone_account": "accounts gone",
    "moved": "accounts moved",
    "volume": "volume",
    "price": "unit price",
    "coverage": "commitment coverage",
    "one_off": "fees and purchases",
    "credits": "credits and refunds",
    "tax": "tax",
    "exchange": "exchange rates",
    "other": "other",
}
"""Effects in the order in which they are shown, and their words.

`coverage` is another share of the use being covered by commitments, and the part of them that nobody used. `one_off` is
all that the bill books on one day for more than that day's use: purchases, recurring fees, support. `other` is what the
bill does not tell apart.
"""

EXCHANGE = "exchange"
"""The effect of another month's rate on the cost that was there before, where costs are shown in another currency."""

OF_THE_BILL = ("volume", "price", "coverage", "one_off", "credits", "tax", "other")
"""The effects that an engine finds; the others need the organization."""

PREFIX = "drivers"

SCHEMA = pa.schema(
    [(name, pa.string()) for name in ("ou", "service", "account")]
    + [(name, MONEY) for name in ("before", "now", *EFFECTS)]
)
"""Of what moved: a row for each OU, service and account."""


@dataclass(frozen=True)
class Driver:
    """What moved the cost of an OU's service in an account: effects (keys of EFFECTS) that sum to `delta` exactly.

    An account that moved has two: it leaves one OU with the cost that it had, and joins the other with the same, where
    its other effects stand. In the whole, moves sum to nothing.
    """

    ou: str
    service: str
    account: str
    before: Decimal
    now: Decimal
    effects: dict[str, Decimal]

    @property
    def delta(self) -> Decimal:
        return self.now - self.before


@dataclass(frozen=True)
class Drivers:
    """Why `day` cost another amount than `against`.

    Attributes:
        day, against: the days.
        currency, cost_basis: of the amounts.
        table: a row for each OU, service and account that changed: `ou`, `service`, `account`, `before`, `now`, and a
            column of exact amounts for each of EFFECTS.
    """

    day: date
    against: date
    currency: str
    cost_basis: str
    table: pa.Table

    @classmethod
    def of(cls, day: date, against: date, currency: str, cost_basis: str, rows: Sequence[Driver]) -> Drivers:
        """Drivers that are given one by one, in their order."""
        return cls(day, against, currency, cost_basis, as_table(rows))

    def each(self) -> tuple[Driver, ...]:
        """All of them one by one: 60,000 take seconds; `among` first leaves those that are asked for."""
        return _one_by_one(self.table)

    def among(self, keys: Collection[Key]) -> dict[Key, Driver]:
        """Those of these OUs, services and accounts."""
        import pyarrow.compute as pc

        accounts = pa.array(sorted({account for _, _, account in keys}), pa.string())
        rows = _one_by_one(self.table.filter(pc.is_in(self.table.column("account"), accounts)))
        by_key = {(row.ou, row.service, row.account): row for row in rows}
        return {key: by_key[key] for key in keys if key in by_key}

    def below(self, ou: str) -> Drivers:
        """Those of an OU and all below it; `All` is everything."""
        return replace(self, table=rows_below(self.table, ou))


def drivers_path(day: date) -> str:
    """The object of a day's drivers in the archive."""
    return f"{PREFIX}/{day}.parquet"


def summed(drivers: Drivers, ou: str, service: str | None = None, account: str | None = None) -> dict[str, Decimal]:
    """The effects on an OU with all below it (`All`: on the whole), on one service or account of it where named.

    Exact, in the order of EFFECTS; those that are nothing are left out.
    """
    import pyarrow.compute as pc

    rows = drivers.below(ou).table
    for name, value in (("service", service), ("account", account)):
        if value is not None:
            rows = rows.filter(pc.equal(rows.column(name), value))
    sums = {name: pc.sum(rows.column(name)).as_py() for name in EFFECTS}
    return {name: of for name, of in sums.items() if of}


def rows_below(rows: pa.Table, ou: str) -> pa.Table:
    """The rows whose column `ou` is an OU or one below it; `All` is everything."""
    import pyarrow.compute as pc

    if ou == ALL:
        return rows
    names = rows.column("ou")
    wanted = [name for name in names.unique().to_pylist() if name is not None and within(name, ou)]
    return rows.filter(pc.is_in(names, pa.array(wanted, pa.string())))


def words(effects: Mapping[str, Decimal], currency: str, limit: int = 3) -> str:
    """`volume +120.10 USD, commitment coverage +40.00 USD, other -3.00 USD`: the largest first, `limit` of them named.

    The amounts add up to the change as it is shown, in cents: what is not named is one `other`, which takes what
    rounding leaves over; without an `other` the largest takes it. Empty where nothing is worth a cent.
    """
    named = [name for name in EFFECTS if name != "other" and to_cents(effects.get(name, Decimal()))]
    named = sorted(named, key=lambda name: -abs(effects[name]))[:limit]
    amounts = {name: to_cents(effects[name]) for name in named}
    unnamed = to_cents(sum((amount for name, amount in effects.items() if name not in amounts), Decimal()))
    left = to_cents(sum(effects.values(), Decimal())) - sum(amounts.values(), Decimal())
    if unnamed or not named:
        amounts["other"] = left
    else:
        amounts[named[0]] += left
    return ", ".join(f"{EFFECTS[name]} {change(amount, currency)}" for name, amount in amounts.items() if amount)


def to_parquet(drivers: Drivers) -> bytes:
    """The drivers as the object that is archived; the same drivers give the same bytes."""
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    table = drivers.table
    if not pc.any(pc.not_equal(table.column(EXCHANGE), pa.scalar(Decimal(), MONEY))).as_py():
        table = table.drop_columns([EXCHANGE])
    facts = {
        "day": drivers.day.isoformat(),
        "against": drivers.against.isoformat(),
        "currency": drivers.currency,
        "cost_basis": drivers.cost_basis,
    }
    sink = pa.BufferOutputStream()
    pq.write_table(table.replace_schema_metadata(facts), sink, compression="snappy")
    return sink.getvalue().to_pybytes()


def read(data: bytes) -> Drivers:
    """The drivers of an archived object.

    Raises:
        DamagedError: it is none, or its effects do not sum to the change.
    """
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    with parsing("a day's drivers", f"{PREFIX}/", pa.ArrowException, OSError):
        table = pq.ParquetFile(pa.BufferReader(data)).read()
        facts = {key.decode(): value.decode() for key, value in (table.schema.metadata or {}).items()}
        zero, names = pa.scalar(Decimal(), MONEY), table.column_names
        columns = {
            name: pc.coalesce(table.column(name), zero) if name in names else pa.repeat(zero, len(table))
            for name in EFFECTS
        }
        columns |= {name: table.column(name) for name in SCHEMA.names if name not in EFFECTS}
        rows = pa.table({name: columns[name] for name in SCHEMA.names}, schema=SCHEMA)
        drivers = Drivers(
            date.fromisoformat(facts["day"]),
            date.fromisoformat(facts["against"]),
            facts["currency"],
            facts["cost_basis"],
            rows,
        )
        refuse_unsound(rows, tuple(EFFECTS), ("before", "now"), drivers_path(drivers.day))
    return drivers


def refuse_unsound(rows: pa.Table, effects: Sequence[str], sides: tuple[str, str], where: str) -> None:
    """Refuse rows of which one's effects do not sum to its change, exactly, or lack an amount.

    Args:
        rows: with columns of money.
        effects: the columns that make the change.
        sides: the columns of the cost before, and now.
        where: the object that they are of.

    Raises:
        DamagedError: there is such a row.
    """
    import pyarrow.compute as pc

    before, now = (rows.column(name) for name in sides)
    made = functools.reduce(_plus, (rows.column(name) for name in effects))
    unsound = pc.fill_null(pc.not_equal(made, _plus(now, pc.negate(before))), True)
    if pc.any(unsound).as_py():
        at = pc.index(unsound, True).as_py()
        raise DamagedError(
            f"the effects of row {at + 1} do not sum to the change from {before[at]} to {now[at]}",
            where=where,
            fix="Have that day's scorecard made again.",
        )


_ADDED = pa.decimal128(DIGITS - 1, PLACES)
"""What is added: a sum has a digit more."""


def _plus(one: pa.ChunkedArray, other: pa.ChunkedArray) -> pa.ChunkedArray:
    """The exact sum of two columns of money."""
    import pyarrow.compute as pc

    return pc.add(one.cast(_ADDED), other.cast(_ADDED)).cast(MONEY)


def as_table(rows: Sequence[Driver]) -> pa.Table:
    """Drivers as a table in SCHEMA."""
    columns = {name: [getattr(row, name) for row in rows] for name in ("ou", "service", "account", "before", "now")}
    columns |= {name: [row.effects.get(name, Decimal()) for row in rows] for name in EFFECTS}
    return pa.table(columns, schema=SCHEMA)


def _one_by_one(rows: pa.Table) -> tuple[Driver, ...]:
    return tuple(
        Driver(
            row["ou"],
            row["service"],
            row["account"],
            row["before"],
            row["now"],
            {name: row[name] for name in EFFECTS if row[name]},
        )
        for row in rows.to_pylist()
    )

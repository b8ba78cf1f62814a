"""Why a day cost another amount than the day it is compared with: a decomposition whose amounts add up to the change.

An engine sums the lines of both days by account and service, and says what makes the difference there
(`core.bill.drivers_sql`). Here the sums meet the organization: accounts that came, went and moved.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from finops_assets.core.accounts.ous import ALL, within
from finops_assets.core.errors import DamagedError
from finops_assets.core.money import change, to_cents
from finops_assets.core.notes import parsing
from finops_assets.core.schemas import MONEY, UNASSIGNED

if TYPE_CHECKING:
    import pyarrow as pa

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
    """Why `day` cost another amount than `against`; one Driver for each OU, service and account that changed."""

    day: date
    against: date
    currency: str
    cost_basis: str
    drivers: tuple[Driver, ...]


def drivers_path(day: date) -> str:
    """The object of a day's drivers in the archive."""
    return f"{PREFIX}/{day}.parquet"


def as_sums(table: pa.Table | None) -> pa.Table:
    """What an engine found, in one shape and order; None is nothing.

    A row for each linked account, service and, where the bill itself has one, OU: the cost on both days, whether there
    are lines on them (`there_`) and lines that are more than fees, tax and the like (`used_`), and the effects of
    OF_THE_BILL, which sum to now - before.
    """
    import pyarrow as pa

    schema = pa.schema(
        [(name, pa.string()) for name in ("linkedaccount", "service", "ou")]
        + [(name, MONEY) for name in ("before", "now")]
        + [(name, pa.bool_()) for name in ("there_before", "there_now", "used_before", "used_now")]
        + [(name, MONEY) for name in OF_THE_BILL]
    )
    if table is None:
        return schema.empty_table()
    order = [(name, "ascending") for name in ("linkedaccount", "service", "ou")]
    return table.select(schema.names).cast(schema).sort_by(order).combine_chunks()


KEYS = ("linkedaccount", "service", "ou")
FLAGS = ("there_before", "there_now", "used_before", "used_now")


def summed_up(sums: pa.Table) -> pa.Table:
    """Rows of `as_sums` that have one account, service and OU as one row: of several bills, or after a renaming."""
    amounts = [name for name in sums.column_names if name not in (*KEYS, *FLAGS)]
    how = [*((name, "sum") for name in amounts), *((name, "any") for name in FLAGS)]
    whole = {f"{name}_{kind}": name for name, kind in how}
    grouped = sums.group_by(list(KEYS)).aggregate(how)
    named = grouped.rename_columns([whole.get(name, name) for name in grouped.column_names])
    order = [(name, "ascending") for name in KEYS]
    return named.select(sums.column_names).cast(sums.schema).sort_by(order).combine_chunks()


def under_new_names(sums: pa.Table, names: Mapping[str, str]) -> pa.Table:
    """The sums with services under the names that they have now: a renamed one is neither gone nor new.

    Args:
        sums: as of `as_sums`.
        names: old name -> new name, of services that were renamed between the two days.
    """
    import pyarrow as pa

    if not names:
        return sums
    at = sums.schema.get_field_index("service")
    services = [names.get(service, service) for service in sums.column("service").to_pylist()]
    return summed_up(sums.set_column(at, sums.schema.field(at), pa.array(services, pa.string())))


def explain(
    table: pa.Table, day: date, against: date, accounts_map: pa.Table, currency: str, cost_basis: str
) -> Drivers:
    """The sums of two days as what moved each OU.

    Args:
        table: of `Warehouse.drivers(day, against)`.
        day, against: the days.
        accounts_map: in the ACCOUNT_OU_MAP schema; each day has the OUs of that day.
        currency, cost_basis: of the sums.
    """
    of_account: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for row in table.to_pylist():
        of_account[row["linkedaccount"]].append(row)
    before, now = _ous(accounts_map, against), _ous(accounts_map, day)
    drivers: list[Driver] = []
    for account, rows in of_account.items():
        drivers += _of_account(account, rows, before.get(account, UNASSIGNED), now.get(account, UNASSIGNED))
    drivers.sort(key=lambda driver: (driver.ou, driver.service, driver.account))
    return Drivers(day, against, currency, cost_basis, tuple(drivers))


def _ous(accounts_map: pa.Table, day: date) -> dict[str, str]:
    import pyarrow.compute as pc

    valid_from, valid_to = accounts_map.column("valid_from"), accounts_map.column("valid_to")
    valid = accounts_map.filter(pc.and_(pc.less_equal(valid_from, day), pc.greater(valid_to, day)))
    return dict(zip(valid.column("account_id").to_pylist(), valid.column("ou").to_pylist(), strict=True))


def _of_account(account: str, rows: list[dict[str, Any]], before: str, now: str) -> list[Driver]:
    """The drivers of an account that the map has in the OU `before` and `now`; the bill's own OUs come first."""
    ous_before = {row["ou"] or before for row in rows if row["there_before"]}
    ous_now = {row["ou"] or now for row in rows if row["there_now"]}
    drivers: list[Driver | None] = []
    if not ous_before or not ous_now:
        # A fee or a tax comes and goes on its day, and no account with it.
        used = any(row["used_before"] or row["used_now"] for row in rows)
        kind = ("gone_account" if ous_before else "new_account") if used else ""
        for row in rows:
            ou = row["ou"] or (before if ous_before else now)
            effects = {kind: row["now"] - row["before"]} if kind else _effects(row)
            drivers.append(_driver(ou, row["service"], account, row["before"], row["now"], effects))
    elif len(ous_before) == len(ous_now) == 1 and ous_before != ous_now:
        (left,), (joined,) = ous_before, ous_now
        for service, row in _by_service(rows).items():
            moved = row["before"]
            drivers.append(_driver(left, service, account, moved, Decimal(), {"moved": -moved}))
            effects = {"moved": moved, **_effects(row)}
            drivers.append(_driver(joined, service, account, Decimal(), row["now"], effects))
    else:
        # A bill may have an account in several OUs on one day: each is a case of its own.
        drivers += [
            _driver(row["ou"] or now, row["service"], account, row["before"], row["now"], _effects(row)) for row in rows
        ]
    return [driver for driver in drivers if driver]


def _by_service(rows: Iterable[Mapping[str, Any]]) -> dict[str, dict[str, Decimal]]:
    """An account's sums by service, whichever OU the bill has them in."""
    sums: dict[str, dict[str, Decimal]] = {}
    for row in rows:
        of_service = sums.setdefault(row["service"], defaultdict(Decimal))
        for name in ("before", "now", *OF_THE_BILL, EXCHANGE):
            of_service[name] += row.get(name, Decimal())
    return sums


def _effects(row: Mapping[str, Decimal]) -> dict[str, Decimal]:
    return {name: row[name] for name in (*OF_THE_BILL, EXCHANGE) if name in row}


def _driver(
    ou: str, service: str, account: str, before: Decimal, now: Decimal, effects: Mapping[str, Decimal]
) -> Driver | None:
    """The driver; None where nothing moved."""
    moved = {name: effects[name] for name in EFFECTS if effects.get(name)}
    return Driver(ou, service, account, before, now, moved) if moved else None


def summed(drivers: Drivers, ou: str, service: str | None = None, account: str | None = None) -> dict[str, Decimal]:
    """The effects on an OU with all below it (`All`: on the whole), on one service or account of it where named.

    Exact, in the order of EFFECTS; those that are nothing are left out.
    """
    sums: dict[str, Decimal] = defaultdict(Decimal)
    for driver in drivers.drivers:
        if (
            (ou == ALL or within(driver.ou, ou))
            and service in (None, driver.service)
            and account in (None, driver.account)
        ):
            for name, amount in driver.effects.items():
                sums[name] += amount
    return {name: sums[name] for name in EFFECTS if sums.get(name)}


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
    import pyarrow as pa
    import pyarrow.parquet as pq

    rows = drivers.drivers
    columns: dict[str, pa.Array] = {
        name: pa.array([getattr(row, name) for row in rows], pa.string()) for name in ("ou", "service", "account")
    }
    columns |= {name: pa.array([getattr(row, name) for row in rows], MONEY) for name in ("before", "now")}
    effects = [name for name in EFFECTS if name != EXCHANGE or any(EXCHANGE in row.effects for row in rows)]
    columns |= {name: pa.array([row.effects.get(name, Decimal()) for row in rows], MONEY) for name in effects}
    facts = {
        "day": drivers.day.isoformat(),
        "against": drivers.against.isoformat(),
        "currency": drivers.currency,
        "cost_basis": drivers.cost_basis,
    }
    sink = pa.BufferOutputStream()
    pq.write_table(pa.table(columns).replace_schema_metadata(facts), sink, compression="snappy")
    return sink.getvalue().to_pybytes()


def read(data: bytes) -> Drivers:
    """The drivers of an archived object.

    Raises:
        DamagedError: it is none, or its effects do not sum to the change.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    with parsing("a day's drivers", f"{PREFIX}/", pa.ArrowException, OSError):
        table = pq.ParquetFile(pa.BufferReader(data)).read()
        facts = {key.decode(): value.decode() for key, value in (table.schema.metadata or {}).items()}
        rows = tuple(
            Driver(
                row["ou"],
                row["service"],
                row["account"],
                row["before"],
                row["now"],
                {name: row[name] for name in EFFECTS if row.get(name)},
            )
            for row in table.to_pylist()
        )
        drivers = Drivers(
            date.fromisoformat(facts["day"]),
            date.fromisoformat(facts["against"]),
            facts["currency"],
            facts["cost_basis"],
            rows,
        )
    wrong = next((row for row in rows if sum(row.effects.values(), Decimal()) != row.delta), None)
    if wrong:
        raise DamagedError(
            f"the effects on {wrong.service} in {wrong.account} do not sum to {wrong.delta}",
            where=drivers_path(drivers.day),
            fix="Have that day's scorecard made again.",
        )
    return drivers

"""The parts of what moved: of each OU, service and account the largest five, and the rest; they add up to its change.

An engine finds the parts of each account's service (`core.bill.parts_sql`). Here they meet the organization, as the
drivers do, and each gets its cause.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from finops_assets.core.errors import BillError
from finops_assets.core.schemas import MONEY

if TYPE_CHECKING:
    import pyarrow as pa

    from finops_assets.core.analytics.drivers import Driver, Drivers

EFFECTS_OF_PART = ("volume", "price", "coverage", "other")
OF_REST = ("volume", "price", "coverage", "exchange", "new_account", "gone_account")
"""Effects of a driver that are effects of its one part, too; the others are `other` there."""

TEXTS = ("linkedaccount", "service", "ou", "kind", "usage_type", "region", "resource")
ROUNDING = Decimal("1e-9")
"""Amounts in another currency are rounded to twelve places, each for itself: a part may lack a little of its driver."""

MOST_MOVERS = 5_000
"""Services of accounts in OUs, those that moved most, whose parts are told apart; of others all is the rest."""

USE, CREDIT, REFUND, MOVED, REST = "use", "credit", "refund", "moved", "rest"


@dataclass(frozen=True)
class Part:
    """A part of what moved an OU's service in an account.

    Attributes:
        kind: a part of a day's cost: use, credit, refund, tax, one_off, coverage (unused commitments), other; `moved`
            is what an account had cost in the OU that it left, `rest` all parts beyond the largest.
        before, now: its cost; of `moved` in the OU that it joined, the former is taken off.
        quantity_before, quantity_now: None where nothing was measured, and of the rest.
        effects: `volume`, `price`, `coverage`, `other` and, in another currency, `exchange`: they sum to the change.
        is_new_region: whether the account used nothing in that region on the other day.
    """

    ou: str
    service: str
    account: str
    kind: str
    usage_type: str
    region: str
    resource: str
    before: Decimal
    now: Decimal
    quantity_before: float | None
    quantity_now: float | None
    effects: Mapping[str, Decimal]
    is_new_region: bool = False

    @property
    def delta(self) -> Decimal:
        return self.now - self.before


def as_parts(table: pa.Table | None) -> pa.Table:
    """The parts that an engine found, in one shape and order; None is nothing.

    A row for each part of an account's service and, where the bill itself has one, OU: `part` is its place, by size.
    """
    import pyarrow as pa

    schema = pa.schema(
        [(name, pa.string()) for name in TEXTS]
        + [("part", pa.int64()), ("newregion", pa.bool_())]
        + [(name, MONEY) for name in ("before", "now", *EFFECTS_OF_PART)]
        + [(name, pa.float64()) for name in ("quantitybefore", "quantitynow")]
    )
    if table is None:
        return schema.empty_table()
    order = [(name, "ascending") for name in ("linkedaccount", "service", "ou", "part")]
    return table.select(schema.names).cast(schema).sort_by(order).combine_chunks()


def moved_parts(table: pa.Table, drivers: Drivers, names: Mapping[str, str]) -> tuple[Part, ...]:
    """The parts of each driver, in its order.

    Args:
        table: of `Warehouse.moved_parts`, of the drivers' days.
        drivers: what moved.
        names: old name -> new name, of services that were renamed between the days.

    Raises:
        BillError: the parts are not those of the drivers: the bill has changed in between.
    """
    least = _least_told(drivers.drivers)
    told = {(d.account, d.service) for d in drivers.drivers if abs(d.delta) >= least or MOVED in d.effects}
    rows: dict[tuple[str, str], list[dict[str, Any]]] = defaultdict(list)
    for row in _of_keys(table, told, names).to_pylist():
        service = names.get(row["service"], row["service"])
        rows[row["linkedaccount"], service].append({**row, "service": service})
    several: dict[tuple[str, str], list[Driver]] = defaultdict(list)
    for driver in drivers.drivers:
        several[driver.account, driver.service].append(driver)
    parts: list[Part] = []
    for driver in drivers.drivers:
        key = driver.account, driver.service
        if abs(driver.delta) < least and MOVED not in driver.effects:
            parts.append(_rest_of(driver))
            continue
        of_driver = _of_driver(driver, rows.get(key, []), several[key])
        left = driver.delta - sum((part.delta for part in of_driver), Decimal())
        if of_driver and 0 < abs(left) <= ROUNDING:
            of_driver[-1] = _with(of_driver[-1], left)
        elif left:
            raise BillError(
                f"the parts of {driver.service} in {driver.account} do not sum to {driver.delta}",
                fix="The bill has changed meanwhile: have the day's scorecard made again.",
            )
        parts += of_driver
    return tuple(parts)


def _of_keys(table: pa.Table, keys: Collection[tuple[str, str]], names: Mapping[str, str]) -> pa.Table:
    """The rows of these accounts' services; as Python's objects, those of all would take gigabytes."""
    import pyarrow as pa
    import pyarrow.compute as pc

    old: dict[str, list[str]] = defaultdict(list)
    for before, now in names.items():
        old[now].append(before)
    wanted = [f"{account}\0{name}" for account, service in keys for name in (service, *old.get(service, ()))]
    joined = pc.binary_join_element_wise(table.column("linkedaccount"), table.column("service"), "\0")
    return table.filter(pc.is_in(joined, pa.array(wanted, pa.string())))


def _with(part: Part, left: Decimal) -> Part:
    """The part, with what rounding has left over of its driver's change."""
    effects = {**part.effects, "other": part.effects.get("other", Decimal()) + left}
    return replace(part, now=part.now + left, effects=effects)


def _least_told(drivers: Sequence[Driver]) -> Decimal:
    """The change from which on a driver's parts are told apart."""
    changes = sorted((abs(driver.delta) for driver in drivers), reverse=True)
    return changes[MOST_MOVERS - 1] if len(changes) > MOST_MOVERS else Decimal()


def _rest_of(driver: Driver) -> Part:
    """All of a driver as one part."""
    effects: dict[str, Decimal] = defaultdict(Decimal)
    for name, amount in driver.effects.items():
        effects[name if name in OF_REST else "other"] += amount
    of = driver.ou, driver.service, driver.account
    return Part(*of, REST, "", "", "", driver.before, driver.now, None, None, effects)


def _of_driver(driver: Driver, rows: list[dict[str, Any]], of_key: list[Driver]) -> list[Part]:
    moved = driver.effects.get(MOVED)
    if moved is not None and not driver.now and moved == -driver.before:
        return [_moved(driver, driver.before, Decimal())]
    if moved is not None:
        return [_moved(driver, -moved, Decimal()), *_largest(_part(driver, row) for row in rows)]
    if len(of_key) > 1:  # the bill has the account in several OUs on one day
        own = {each.ou for each in of_key}
        rows = [row for row in rows if row["ou"] == driver.ou or (row["ou"] not in own and not _has(rows, driver.ou))]
    return _largest(_part(driver, row) for row in rows)


def _has(rows: Iterable[Mapping[str, Any]], ou: str) -> bool:
    return any(row["ou"] == ou for row in rows)


def _moved(driver: Driver, before: Decimal, now: Decimal) -> Part:
    effects = {MOVED: now - before}
    return Part(driver.ou, driver.service, driver.account, MOVED, "", "", "", before, now, None, None, effects)


def _part(driver: Driver, row: Mapping[str, Any]) -> Part:
    kind = next((kind for kind in ("new_account", "gone_account") if kind in driver.effects), "")
    effects = {name: row[name] for name in (*EFFECTS_OF_PART, "exchange") if row.get(name)}
    effects = {kind: row["now"] - row["before"]} if kind else effects
    where = (row["usage_type"] or "", row["region"] or "", row["resource"] or "")
    quantities = row["quantitybefore"], row["quantitynow"]
    of = driver.ou, driver.service, driver.account, row["kind"]
    return Part(*of, *where, row["before"], row["now"], *quantities, effects, bool(row["newregion"]))


def _largest(parts: Iterable[Part], limit: int = 5) -> list[Part]:
    """The largest parts and the rest as one: rows of several bills, or of a renamed service, have more of them."""
    ranked = sorted(parts, key=lambda part: (part.kind == REST, -abs(part.delta)))
    rest = [part for place, part in enumerate(ranked) if place >= limit or part.kind == REST]
    kept = ranked[: len(ranked) - len(rest)]
    if not rest:
        return kept
    effects: dict[str, Decimal] = defaultdict(Decimal)
    for part in rest:
        for name, amount in part.effects.items():
            effects[name] += amount
    before, now = (sum((getattr(part, name) for part in rest), Decimal()) for name in ("before", "now"))
    one = replace(
        rest[0], kind=REST, usage_type="", region="", resource="", before=before, now=now, quantity_before=None,
        quantity_now=None, effects=dict(effects), is_new_region=False,
    )  # fmt: skip
    return [*kept, one]

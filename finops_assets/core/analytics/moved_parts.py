"""The parts of what moved: of each OU, service and account the largest five, and the rest; they add up to its change.

An engine finds the parts of each account's service (`core.bill.parts_sql`). Here they meet the organization, as the
drivers do, and each gets its cause.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
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
"""Services of accounts in OUs, those that moved most, whose parts are told apart; of an OU's others all is one part."""

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
    """The parts of the largest drivers, and of each OU those of all others together; by OU, service and account.

    Args:
        table: of `Warehouse.moved_parts`, of the drivers' days.
        drivers: what moved.
        names: old name -> new name, of services that were renamed between the days.

    Raises:
        BillError: the parts are not those of the drivers: the bill has changed in between.
    """
    told, others = _told_apart(drivers)
    each = told.each()
    rows: dict[tuple[str, str], list[dict[str, Any]]] = defaultdict(list)
    for row in _of_keys(table, {(d.account, d.service) for d in each}, names).to_pylist():
        service = names.get(row["service"], row["service"])
        rows[row["linkedaccount"], service].append({**row, "service": service})
    several: dict[tuple[str, str], list[Driver]] = defaultdict(list)
    for driver in each:
        several[driver.account, driver.service].append(driver)
    parts: list[Part] = []
    for driver in each:
        key = driver.account, driver.service
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
    return tuple(sorted((*parts, *_by_ou(others)), key=lambda part: (part.ou, part.service, part.account)))


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


def _told_apart(drivers: Drivers) -> tuple[Drivers, Drivers]:
    """Those that moved most, with those of the same services of accounts; and all others."""
    import pyarrow as pa
    import pyarrow.compute as pc

    rows = drivers.table
    if len(rows) <= MOST_MOVERS:
        return drivers, replace(drivers, table=rows.slice(0, 0))
    moved = pc.abs(pc.subtract(rows.column("now").cast(pa.float64()), rows.column("before").cast(pa.float64())))
    least = pc.min(moved.take(pc.select_k_unstable(moved, MOST_MOVERS, [("", "descending")])))
    joined = pc.binary_join_element_wise(rows.column("account"), rows.column("service"), "\0")
    told = pc.is_in(joined, joined.filter(pc.greater_equal(moved, least)).combine_chunks())
    return replace(drivers, table=rows.filter(told)), replace(drivers, table=rows.filter(pc.invert(told)))


def _by_ou(drivers: Drivers) -> Iterator[Part]:
    """All of these drivers of each OU as one part; new, gone and moved accounts are parts of their own."""
    import pyarrow as pa
    import pyarrow.compute as pc

    nothing = pa.scalar(Decimal(), MONEY)
    is_new, is_gone = (pc.not_equal(drivers.table.column(name), nothing) for name in ("new_account", "gone_account"))
    for rows in (
        drivers.table.filter(is_new),
        drivers.table.filter(is_gone),
        drivers.table.filter(pc.invert(pc.or_(is_new, is_gone))),
    ):
        amounts = [name for name in rows.column_names if name not in ("ou", "service", "account")]
        for row in rows.group_by("ou").aggregate([(name, "sum") for name in amounts]).to_pylist():
            before, now, moved = (row[f"{name}_sum"] for name in ("before", "now", MOVED))
            if moved:  # as `_moved` has them: what the account that joins had cost is taken off
                yield Part(row["ou"], "", "", MOVED, "", "", "", -moved, Decimal(), None, None, {MOVED: moved})
            effects: dict[str, Decimal] = defaultdict(Decimal)
            for name in amounts:
                if name not in ("before", "now", MOVED) and row[f"{name}_sum"]:
                    effects[name if name in OF_REST else "other"] += row[f"{name}_sum"]
            if effects:
                yield Part(row["ou"], "", "", REST, "", "", "", before + moved, now, None, None, dict(effects))


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

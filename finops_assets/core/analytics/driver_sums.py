"""The sums of two days as what moved each OU: where the engine's sums meet accounts that came, went and moved."""

from __future__ import annotations

import functools
from collections import defaultdict
from collections.abc import Iterable, Mapping
from datetime import date
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from finops_assets.core.analytics.drivers import EFFECTS, EXCHANGE, OF_THE_BILL, SCHEMA, Driver, Drivers, as_table
from finops_assets.core.schemas import MONEY, UNASSIGNED

if TYPE_CHECKING:
    import numpy as np

_EFFECTS_OF_ROWS = (*OF_THE_BILL, EXCHANGE)
"""The effects that rows of `as_sums` may have."""


def as_sums(table: pa.Table | None) -> pa.Table:
    """What an engine found, in one shape and order; None is nothing.

    A row for each linked account, service and, where the bill itself has one, OU: the cost on both days, whether there
    are lines on them (`there_`) and lines that are more than fees, tax and the like (`used_`), and the effects of
    OF_THE_BILL, which sum to now - before.
    """
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
    before, now = _ous(accounts_map, against), _ous(accounts_map, day)
    stayed, others = _by_account(table, before, now)
    of_account: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for row in others.to_pylist():
        of_account[row["linkedaccount"]].append(row)
    rows: list[Driver] = []
    for account, of_rows in of_account.items():
        rows += _of_account(account, of_rows, before.get(account, UNASSIGNED), now.get(account, UNASSIGNED))
    moved = pa.concat_tables([stayed, as_table(rows)])
    moved = moved.sort_by([(name, "ascending") for name in ("ou", "service", "account")]).combine_chunks()
    return Drivers(day, against, currency, cost_basis, moved)


def _by_account(table: pa.Table, before: Mapping[str, str], now: Mapping[str, str]) -> tuple[pa.Table, pa.Table]:
    """The drivers of accounts that are there on both days and did not move; and the sums of the others.

    Nearly all are of the first kind, and are looked at as columns.
    """
    import numpy as np
    import pyarrow.compute as pc

    encoded = table.column("linkedaccount").combine_chunks().dictionary_encode()
    names, account = encoded.dictionary.to_pylist(), encoded.indices.to_numpy()
    own = pc.coalesce(table.column("ou"), pa.scalar(""))
    own = pc.if_else(pc.equal(own, ""), pa.scalar(None, pa.string()), own)
    known: dict[str, int] = {}
    several = np.zeros(len(names), dtype=bool)
    sides: dict[str, np.ndarray] = {}
    for side, of_map in (("before", before), ("now", now)):
        ous = pc.coalesce(own, pa.array([of_map.get(name, UNASSIGNED) for name in names]).take(encoded.indices))
        if side == "now":
            ou_now = ous
        codes = _codes(ous, known)
        on_day = table.column(f"there_{side}").to_numpy()
        least, most = np.full(len(names), len(codes) + len(known)), np.full(len(names), -1)
        np.minimum.at(least, account[on_day], codes[on_day])
        np.maximum.at(most, account[on_day], codes[on_day])
        several |= least < most
        sides[side] = most  # -1: the account is not there
    there = (sides["before"] >= 0) & (sides["now"] >= 0)
    stays = pa.array((there & (several | (sides["before"] == sides["now"])))[account])
    columns = {"ou": ou_now, "service": table.column("service"), "account": table.column("linkedaccount")}
    columns |= {name: table.column(name) for name in ("before", "now")}
    nothing = pa.repeat(pa.scalar(Decimal(), MONEY), len(table))
    columns |= {name: table.column(name) if name in table.column_names else nothing for name in _EFFECTS_OF_ROWS}
    columns |= {name: nothing for name in EFFECTS if name not in columns}
    rows = pa.table({name: columns[name] for name in SCHEMA.names}, schema=SCHEMA)
    return rows.filter(pc.and_(stays, _is_moved(rows))), table.filter(pc.invert(stays))


def _codes(names: pa.ChunkedArray, known: dict[str, int]) -> np.ndarray:
    """A number for each name, the same in all columns that share `known`."""
    import numpy as np

    encoded = names.combine_chunks().dictionary_encode()
    of_value = [known.setdefault(name, len(known)) for name in encoded.dictionary.to_pylist()]
    return np.array(of_value, dtype=np.int64)[encoded.indices.to_numpy()]


def _is_moved(rows: pa.Table) -> pa.Array:
    """Of which rows an effect is more than nothing."""
    import pyarrow.compute as pc

    zero = pa.scalar(Decimal(), MONEY)
    return functools.reduce(pc.or_, (pc.not_equal(rows.column(name), zero) for name in EFFECTS))


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
        for name in ("before", "now", *_EFFECTS_OF_ROWS):
            of_service[name] += row.get(name, Decimal())
    return sums


def _effects(row: Mapping[str, Decimal]) -> dict[str, Decimal]:
    return {name: row[name] for name in _EFFECTS_OF_ROWS if name in row}


def _driver(
    ou: str, service: str, account: str, before: Decimal, now: Decimal, effects: Mapping[str, Decimal]
) -> Driver | None:
    """The driver; None where nothing moved."""
    moved = {name: effects[name] for name in EFFECTS if effects.get(name)}
    return Driver(ou, service, account, before, now, moved) if moved else None

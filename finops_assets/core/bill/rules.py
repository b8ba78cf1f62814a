"""What the settings ask of the bill, held against the columns that it has."""

from __future__ import annotations

from dataclasses import dataclass, field

from finops_assets.core.bill.bill_format import INCLUDE_SETTINGS, BillFormat, Columns
from finops_assets.core.errors import BillError, SettingsError


@dataclass(frozen=True)
class Rules:
    """What the settings ask of the bill.

    Attributes:
        dimensions: those that its lines have (`core.bill.dimensions`).
        several_currencies: whether its amounts may be in more than one, as there are rates to show them in one.
    """

    cost_basis: str
    currency: str = ""
    include_tax: bool = True
    include_credits: bool = True
    include_refunds: bool = True
    provider: str = ""
    dimensions: tuple[str, ...] = field(default=(), repr=False)
    several_currencies: bool = field(default=False, repr=False)


def check_columns(fmt: BillFormat, columns: Columns, rules: Rules, where: str) -> None:
    """Refuse a bill that lacks what the format or the settings need.

    Raises:
        BillError: a missing required column, or a cost basis that the bill does not have.
        SettingsError: a setting that this format cannot honour.
    """
    missing = [c for c in fmt.required if c not in columns]
    missing += [" or ".join(group) for group in fmt.one_of if not any(c in columns for c in group)]
    if missing:
        raise BillError(
            f"the {fmt.title} bill has no column {', '.join(missing)}",
            where=where,
            fix="Export it with that column, or set bill.format if this is another format.",
        )
    available = cost_bases(fmt, columns)
    if rules.cost_basis not in available:
        basis = fmt.bases.get(rules.cost_basis)
        why = f"it has no column {basis.column}" if basis else f"{fmt.title} has no such cost"
        if not available:
            raise BillError(f"the {fmt.title} bill has no cost column: {why}", where=where, fix="Export it with one.")
        again = f"Export it with that column, or set bill.cost_basis to {' or '.join(available)}."
        raise BillError(
            f"the bill has no {rules.cost_basis} cost: {why}",
            where=f"{where} (bill.cost_basis)",
            fix=again if basis else f"Set bill.cost_basis to {' or '.join(available)}.",
        )
    if not fmt.currency and not rules.currency:
        raise SettingsError(
            f"a {fmt.title} does not say its currency",
            where="bill.currency (FINOPS_BILL__CURRENCY)",
            fix="Set it, e.g. to USD.",
        )
    dishonoured = [
        name for name in INCLUDE_SETTINGS if not getattr(rules, name) and fmt.include_columns.get(name) not in columns
    ]
    if dishonoured:
        column = fmt.include_columns.get(dishonoured[0])
        raise SettingsError(
            f"the {fmt.title} bill does not tell such charges apart ({where})",
            where=", ".join(f"bill.{name}" for name in dishonoured),
            fix="Leave it true, or give a bill that has "
            + (f"the column {column}." if column else "charge categories."),
        )


def cost_bases(fmt: BillFormat, columns: Columns) -> tuple[str, ...]:
    """The cost bases that a bill with these columns has."""
    return tuple(name for name, basis in fmt.bases.items() if basis.is_in(columns))


def missing_columns(fmt: BillFormat, columns: Columns) -> dict[str, tuple[str, ...]]:
    """Of each cost basis of the format the columns that it can read and the bill does not have, in their order.

    A basis with missing columns may be whole all the same: a report without reservations needs no column of them, and
    one without a private discount has no net columns (`CostBasis.is_in`). Lines that need one are refused.
    """
    missing = {
        name: tuple(dict.fromkeys(c for c in (basis.column, *basis.columns) if c not in columns))
        for name, basis in fmt.bases.items()
    }
    return {name: absent for name, absent in missing.items() if absent}

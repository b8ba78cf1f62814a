"""Billing periods that several exports have: right where each is of another payer, else charges would count twice."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping

from finops_assets.core.bill.formats import FORMATS
from finops_assets.core.bill.payers import payer_id
from finops_assets.core.errors import BillError


def payer_column(columns: Iterable[str]) -> str:
    """The column that names the payer of a line, in any format; empty where the bill has none."""
    has = set(columns)
    return next((of.payer for of in FORMATS.values() if of.payer in has), "")


def refuse_shared_periods(
    root: str,
    setting: str,
    shared: Mapping[str, tuple[str, ...]],
    payers: Iterable[tuple[str, str, str]] | None = None,
) -> None:
    """Refuse exports that have a billing period in common, unless each has other payers.

    Args:
        root: how the bill is named to a person.
        setting: the setting that says where the bill is.
        shared: the periods, and the exports of each.
        payers: (period, export, payer) of the lines in these periods, an empty payer where a line names none; None
            where the bill does not tell the payer.

    Raises:
        BillError: a payer is in two exports of a period, or is not known.
    """
    if not shared:
        return
    period = min(shared)
    if payers is None:
        raise _refused(root, setting, period, shared[period], "no column names the payer")
    exports: dict[tuple[str, str], set[str]] = defaultdict(set)
    for period, export, payer in payers:
        if period in shared:
            exports[period, payer_id(payer)].add(export)
    for (period, payer), of in sorted(exports.items()):
        if not payer:
            raise _refused(root, setting, period, shared[period], f"lines of {min(of)} name no payer")
        if len(of) > 1:
            raise _refused(root, setting, period, of, f"both are of the payer {payer}", one_payer=True)


def _refused(
    root: str, setting: str, period: str, exports: Iterable[str], why: str, *, one_payer: bool = False
) -> BillError:
    first, second, *others = sorted(exports)
    more = f" and {len(others)} more" if others else ""
    one = f"oint {setting} at one of them"
    two = "if each is of another payer, have the exports name it (bill_payer_account_id, or BillingAccountId)"
    return BillError(
        f"holds {2 + len(others)} exports, {first} and {second}{more}: charges of {period} that are in both would "
        f"count twice ({why})",
        where=root,
        fix=f"P{one}." if one_payer else f"If both are of one payer, p{one}; {two}.",
    )

"""Several bills in the settings: `[[bill]]` in finops.toml, `FINOPS_BILL__<NAME>__PATH` in the environment.

Both become `bill.entries`, by name. What is of all bills (the cost basis, the currency, the first day) stands once, in
any of the entries or in the environment; one bill stays the section `[bill]`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from finops_assets.core.bill.bill_names import bill_key, is_bill_name
from finops_assets.core.errors import SettingsError
from finops_assets.settings.bill_section import BillEntry, BillSettings

OWN = frozenset(BillEntry.model_fields)
"""Settings that each bill has for itself."""

COMMON = frozenset(BillSettings.model_fields) - OWN - {"entries"}
"""Settings that are of all bills."""


def with_entries(values: Mapping[str, Any], where: str) -> dict[str, Any]:
    """The values of one source, its bills by name in `bill.entries`.

    Args:
        values: of a settings file, or of the environment.
        where: the source, for the error.

    Raises:
        SettingsError: a bill without a name or with that of another; a rule of all bills that two have otherwise.
    """
    bill = values.get("bill")
    if isinstance(bill, list):
        if len(bill) == 1 and isinstance(bill[0], dict):
            return {**values, "bill": bill[0]}
        return {**values, "bill": _of_list(bill, where)}
    if not isinstance(bill, dict):
        return dict(values)
    if "entries" in bill:
        raise SettingsError("there is no such setting", where=f"bill.entries ({where})", fix="Write [[bill]].")
    named = {key: of for key, of in bill.items() if isinstance(of, dict) and key not in OWN | COMMON}
    if not named:
        return dict(values)
    common = {key: value for key, value in bill.items() if key not in named}
    together = _of_list([{**of, "name": of.get("name", key)} for key, of in named.items()], where)
    for key, of in named.items():
        if "name" not in of:
            del together["entries"][bill_key(key)]["name"]  # a settings file may write it in capitals
    _refuse_two_rules(common, together, "[bill]", where)
    return {**values, "bill": {**common, **together}}


def _of_list(bills: list[Any], where: str) -> dict[str, Any]:
    """The values of several bills: the rules that are of all, and each bill by its name."""
    common: dict[str, Any] = {}
    set_in: dict[str, str] = {}
    entries: dict[str, Any] = {}
    for position, bill in enumerate(bills, 1):
        if not isinstance(bill, dict):
            raise SettingsError("must be a table", where=f"bill, the {position}. ({where})", fix="Write [[bill]].")
        name = bill.get("name", "")
        if not isinstance(name, str) or not is_bill_name(name) or bill_key(name) in OWN | COMMON:
            what = f"{name!r} cannot be a name" if name else "has no name, and there are several"
            raise SettingsError(
                what,
                where=f"bill.name of the {position}. bill ({where})",
                fix='Give each a name of its own, of letters and digits, such as name = "payer-1".',
            )
        key = bill_key(name)
        if key in entries:
            raise SettingsError(
                f"{name} is the name of two bills", where=f"bill.name ({where})", fix="Give each its own."
            )
        rules = {rule: value for rule, value in bill.items() if rule in COMMON}
        for rule in rules:
            _refuse_two_rules(common, rules, f"the bill {set_in.get(rule, '')}", where, f"the bill {name}")
            set_in[rule] = name
        common |= rules
        entries[key] = {rule: value for rule, value in bill.items() if rule not in COMMON}
    return {**common, "entries": entries}


def _refuse_two_rules(
    one: Mapping[str, Any], other: Mapping[str, Any], of_one: str, where: str, of_other: str = "a bill"
) -> None:
    for rule in one.keys() & other.keys() & COMMON:
        if one[rule] != other[rule]:
            raise SettingsError(
                f"is {one[rule]!r} in {of_one} and {other[rule]!r} in {of_other}: it is a rule of all bills",
                where=f"bill.{rule} ({where})",
                fix="Write it once.",
            )


def refuse_unknown(of_file: Mapping[str, Any], above: Mapping[str, Any], where: Callable[[str], str]) -> None:
    """Refuse a bill of the environment that the settings file, which has several, does not name.

    Raises:
        SettingsError: it names the bill, and those that there are.
    """
    known, asked = _entries(of_file), _entries(above)
    for key in asked if known else ():
        if key not in known:
            raise SettingsError(
                "there is no such bill",
                where=where(f"bill.{key}"),
                fix=f"Name one of {', '.join(known)}, or add a [[bill]] of that name.",
            )


def _entries(values: Mapping[str, Any]) -> Mapping[str, Any]:
    bill = values.get("bill")
    return bill.get("entries", {}) if isinstance(bill, dict) else {}


def settled(values: dict[str, Any], where: Callable[[str], str]) -> dict[str, Any]:
    """All sources together: one bill as the section `[bill]`, or several by name.

    Args:
        values: of all sources.
        where: tells where a setting is set.

    Raises:
        SettingsError: one bill and several are set at once.
    """
    entries = {key: {"name": key, **entry} for key, entry in _entries(values).items()}
    if not entries:
        return values
    bill = {key: value for key, value in values["bill"].items() if key != "entries"}
    own = sorted(bill.keys() & OWN)
    if own:
        names = ", ".join(str(entry["name"]) for entry in entries.values())
        raise SettingsError(
            f"is that of one bill, and there are bills with names: {names}",
            where=where(f"bill.{own[0]}"),
            fix=f"Set it for the bill that it is of, such as FINOPS_BILL__{next(iter(entries)).upper()}"
            f"__{own[0].upper()} in the environment.",
        )
    only = next(iter(entries.values()))
    if len(entries) == 1 and only.keys() <= OWN:
        return {**values, "bill": {**bill, **only}}
    return {**values, "bill": {**bill, "entries": entries}}

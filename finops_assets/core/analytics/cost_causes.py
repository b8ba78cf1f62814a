"""The cause of a change in cost: what the parts of a change (`moved_parts`) have in common, the largest first."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal

from finops_assets.core.analytics.anomalies import Key
from finops_assets.core.analytics.moved_parts import CREDIT, MOVED, REFUND, REST, USE, Part
from finops_assets.core.money import change

CAUSES = {
    "doubled": "nearly all use is twice the other day's: see whether the data are there twice",
    "new_account": "new account",
    "gone_account": "account gone",
    "moved": "account moved between OUs",
    "new_service": "new service",
    "gone_service": "service gone",
    "new_region": "use in a new region",
    "new_usage": "new usage type",
    "gone_usage": "usage type gone",
    "quantity": "quantity used",
    "resource": "one resource",
    "price": "unit price",
    "coverage_lost": "commitment coverage lost",
    "coverage_gained": "commitment coverage gained",
    "credit_ended": "credit ended",
    "credit_came": "credit came",
    "credit": "credits",
    "refund": "refund",
    "fee": "fees and purchases",
    "tax": "tax",
    "exchange": "exchange rates",
    "other": "other",
}
"""Causes, and their words."""

USAGE = ("new_service", "gone_service", "new_usage", "gone_usage", "quantity")
"""Causes that are one group in an account's service: one usage type takes the place of another."""

MOST = Decimal("0.8")
"""The share of a change from which on one usage type, region or resource stands for all of it."""

LITTLE = Decimal("0.1")
"""A credit of no more than this share of the other day's has ended, or had not begun."""

DOUBLE = (1.98, 2.02)
"""The ratio of quantities of data that are there twice: real use does not double everywhere so exactly."""

FEWEST = 3
"""Parts, of two services at least, that have to be doubled for an account to be."""


@dataclass(frozen=True)
class Cause:
    """A cause, and what it makes of the change; the causes of a change sum to it exactly.

    `account`, `service`, `usage_type`, `region` and `resource` are empty where it is of several.
    """

    kind: str
    amount: Decimal
    account: str = ""
    service: str = ""
    usage_type: str = ""
    region: str = ""
    resource: str = ""


@dataclass(frozen=True)
class _Piece:
    kind: str
    amount: Decimal
    part: Part


def causes(parts: Sequence[Part]) -> list[Cause]:
    """The causes of a change, by size; those that make it come before those that lessen it.

    Args:
        parts: of the change: of an OU, of an account, of a service in it, or of everything.
    """
    groups: dict[tuple[str, ...], list[_Piece]] = defaultdict(list)
    for part, effects in zip(parts, _by_cause(parts), strict=True):
        for kind, amount in effects:
            groups[_group(kind, part)].append(_Piece(kind, amount, part))
    named = [cause for pieces in groups.values() if (cause := _cause(pieces)).amount]
    total = sum((part.delta for part in parts), Decimal())
    return sorted(named, key=lambda c: (c.amount * total < 0, -abs(c.amount), c.kind, c.account, c.service))


def words(cause: Cause, currency: str) -> str:
    """`unit price of BoxUsage:m5.large, Amazon EC2: +120.00 USD`."""
    what = [of for of in (cause.resource, cause.usage_type, cause.region, cause.service, cause.account) if of]
    return f"{CAUSES[cause.kind]}{' of ' if what else ''}{', '.join(what)}: {change(cause.amount, currency)}"


def clause(parts: Sequence[Part], key: Key, currency: str = "") -> str:
    """The first cause of the change of a key, in a clause: `credit ended, +30.00`; empty where nothing moved.

    Args:
        parts: of the key.
        key: the OU, service and account that stand beside the clause, so that it does not repeat them.
        currency: of the amount; empty where it stands nearby.
    """
    first = next(iter(causes(parts)), None)
    if first is None or first.amount * sum((part.delta for part in parts), Decimal()) <= 0:
        return ""
    where = [first.resource, first.usage_type, first.region]
    where += [name for name, known in ((first.service, key[1]), (first.account, key[2])) if not known]
    what = ", ".join(filter(None, where))
    return f"{CAUSES[first.kind]}{f' of {what}' if what else ''}, {change(first.amount, currency)}"


def with_cause(reason: str, cause: str) -> str:
    """A reason, and the clause of its cause as a sentence after it, where one is known."""
    return " ".join(filter(None, (reason, f"Cause: {cause}." if cause else "")))


def part_causes(parts: Sequence[Part]) -> list[str]:
    """For each part the cause, a key of CAUSES, that makes most of its change."""
    return [max(effects, key=lambda of: abs(of[1]), default=("other",))[0] for effects in _by_cause(parts)]


def _by_cause(parts: Sequence[Part]) -> Iterator[list[tuple[str, Decimal]]]:
    """For each part what each cause makes of its change."""
    doubled, of_credits = _doubled_accounts(parts), _credit_kinds(parts)
    had = {(part.account, part.service) for part in parts if part.before}
    has = {(part.account, part.service) for part in parts if part.now}
    for part in parts:
        service = part.account, part.service
        of_use = "new_service" if service not in had else "gone_service" if service not in has else _usage_kind(part)
        yield _effects(part, of_use, doubled, of_credits)


def _doubled_accounts(parts: Iterable[Part]) -> set[str]:
    of_account: dict[str, list[Part]] = defaultdict(list)
    for part in parts:
        if part.kind in (USE, REST) and part.before > 0:
            of_account[part.account].append(part)
    doubled = set()
    for account, use in of_account.items():
        twice = [part for part in use if _is_double(part)]
        whole = sum((part.before for part in use), Decimal())
        most = sum((part.before for part in twice), Decimal()) >= Decimal("0.9") * whole
        if most and len(twice) >= FEWEST and len({part.service for part in twice}) > 1:
            doubled.add(account)
    return doubled


def _is_double(part: Part) -> bool:
    low, high = DOUBLE
    cost = low <= float(part.now / part.before) <= high
    if part.kind == REST or not part.quantity_before or not part.quantity_now:
        return cost
    return cost and low <= part.quantity_now / part.quantity_before <= high


def _credit_kinds(parts: Iterable[Part]) -> dict[str, str]:
    """Whether the credits of each account ended, came, or are others."""
    before: dict[str, Decimal] = defaultdict(Decimal)
    now: dict[str, Decimal] = defaultdict(Decimal)
    for part in parts:
        if part.kind == CREDIT:
            before[part.account] += part.before
            now[part.account] += part.now
    kinds = {}
    for account in before:
        if before[account] < 0 and abs(now[account]) <= LITTLE * abs(before[account]):
            kinds[account] = "credit_ended"
        elif now[account] < 0 and abs(before[account]) <= LITTLE * abs(now[account]):
            kinds[account] = "credit_came"
        else:
            kinds[account] = "credit"
    return kinds


def _effects(part: Part, of_use: str, doubled: set[str], of_credits: dict[str, str]) -> list[tuple[str, Decimal]]:
    """What a part makes of the change, by cause; the amounts sum to its change. `of_use` is that of its quantity."""
    for whole in ("new_account", "gone_account", MOVED):
        if whole in part.effects:
            return [(whole, part.delta)]
    if part.account in doubled and part.kind in (USE, REST):
        return [("doubled", part.delta)]
    kinds = {
        "volume": of_use,
        "price": "price",
        "coverage": "coverage_lost" if part.effects.get("coverage", 0) > 0 else "coverage_gained",
        "exchange": "exchange",
        "other": {CREDIT: of_credits.get(part.account, "credit"), REFUND: "refund", "one_off": "fee", "tax": "tax"}.get(
            part.kind, "other"
        ),
    }
    return [(kinds[name], amount) for name, amount in part.effects.items()]


def _usage_kind(part: Part) -> str:
    if part.kind == REST:
        return "quantity"
    if part.is_new_region:
        return "new_region"
    if not part.before and not part.quantity_before:
        return "new_usage"
    if not part.now and not part.quantity_now:
        return "gone_usage"
    return "quantity"


def _group(kind: str, part: Part) -> tuple[str, ...]:
    """What one cause is of: a price is everybody's, a plan covers many accounts, use is of an account's service."""
    if kind in ("doubled", "coverage_lost", "coverage_gained", "tax", "exchange"):
        return (kind,)
    if kind == "price":
        return kind, part.service
    if kind in ("new_account", "gone_account", MOVED, CREDIT, "credit_ended", "credit_came", REFUND):
        return kind, part.account
    if kind == "new_region":
        return kind, part.account, part.region
    return "usage" if kind in USAGE else kind, part.account, part.service


def _cause(pieces: Sequence[_Piece]) -> Cause:
    amount = sum((piece.amount for piece in pieces), Decimal())
    kind = pieces[0].kind
    if kind in USAGE:
        kind = _kind_of_usage(pieces, amount)
    resource = _stands_for("resource", pieces, amount)
    if kind in ("quantity", "new_usage", "gone_usage") and resource:
        kind = "resource"
    shown = {name: _stands_for(name, pieces, amount) for name in ("usage_type", "region")}
    return Cause(kind, amount, _common("account", pieces), _common("service", pieces), **shown, resource=resource)


def _kind_of_usage(pieces: Sequence[_Piece], amount: Decimal) -> str:
    """One kind where it makes most of the change; else a quantity: one usage type took the place of another."""
    sums: dict[str, Decimal] = defaultdict(Decimal)
    for piece in pieces:
        sums[piece.kind] += piece.amount
    return next((kind for kind, of_kind in sums.items() if _is_most(of_kind, amount)), "quantity")


def _is_most(one: Decimal, amount: Decimal) -> bool:
    """Whether it is most of the amount, and not far more, which another part takes back."""
    return one * amount > 0 and MOST * abs(amount) <= abs(one) <= abs(amount) / MOST


def _stands_for(name: str, pieces: Iterable[_Piece], amount: Decimal) -> str:
    """The usage type, region or resource that makes most of the amount; empty where none does."""
    sums: dict[str, Decimal] = defaultdict(Decimal)
    for piece in pieces:
        sums[getattr(piece.part, name)] += piece.amount
    return next((value for value, of_value in sums.items() if value and _is_most(of_value, amount)), "")


def _common(name: str, pieces: Iterable[_Piece]) -> str:
    values = {getattr(piece.part, name) for piece in pieces}
    return values.pop() if len(values) == 1 else ""

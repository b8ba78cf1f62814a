"""Changes planted in invented bills, eight kinds of them: whether the product names the right cause first.

Each bill has two days, a week apart, of accounts in three OUs whose use differs a little from day to day; CUR 2.0 and
FOCUS take turns. A change is a share of what its OU costs, and that OU is asked. Rules were chosen on the first seeds;
the others, with more accounts, more noise and smaller changes, are reported. Changes that are hardly larger than the
noise have no bar.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.analytics.data import CHOSEN_ON, REPORTED_ON
from finops_assets.adapters.local.warehouse import DuckDBWarehouse
from finops_assets.core.accounts.account_map import Membership, account_map
from finops_assets.core.analytics.cost_causes import Cause
from finops_assets.core.analytics.driver_sums import explain
from finops_assets.core.analytics.explanations import Explanation
from finops_assets.core.analytics.moved_parts import moved_parts
from finops_assets.core.bill.rules import Rules

DAY = date(2025, 9, 10)
WEEK_AGO = DAY - timedelta(days=7)
OF_EACH = 5
BAR = 38
HARDLY = "hardly larger than the noise"
NEARLY_ALONE = 0.7
"""The share of a growth from which on it is right to name the one resource that makes it."""

BASIS = "effective"
OUS = ("Engineering/Prod", "Engineering/Dev", "Data")
REGIONS = ("us-east-1", "eu-west-1", "ap-southeast-2", "sa-east-1")
EC2 = "Amazon Elastic Compute Cloud"
CODES = {
    EC2: "AmazonEC2",
    "Amazon Simple Storage Service": "AmazonS3",
    "Amazon Relational Database Service": "AmazonRDS",
    "AWS Lambda": "AWSLambda",
    "Amazon DynamoDB": "AmazonDynamoDB",
    "Amazon SageMaker": "AmazonSageMaker",
}
"""What CUR 2.0 has instead of these names."""

SERVICES = {
    EC2: ("BoxUsage:m5.large", "BoxUsage:c7g.xlarge", "EBS:VolumeUsage.gp3", "DataTransfer-Out-Bytes"),
    "Amazon Simple Storage Service": ("TimedStorage-ByteHrs", "Requests-Tier1", "Requests-Tier2"),
    "Amazon Relational Database Service": ("InstanceUsage:db.r6g.large", "RDS:GP3-Storage", "RDS:ChargedBackupUsage"),
    "AWS Lambda": ("Lambda-GB-Second", "Request"),
    "AmazonCloudWatch": ("CW:Requests", "DataProcessing-Bytes", "CW:MetricMonitorUsage"),
    "Amazon DynamoDB": ("ReadRequestUnits", "WriteRequestUnits"),
}


@dataclass(frozen=True)
class Part:
    """How the bills of a part are made.

    Attributes:
        seeds: of the bills of each kind.
        accounts: how many.
        noise: of each quantity from day to day, a share.
        size: of the change, from and to, as shares of what the account's OU costs on a day.
        currencies: of the bills, by turns.
    """

    seeds: range
    accounts: int
    noise: float
    size: tuple[float, float]
    currencies: tuple[str, ...]


PARTS = {
    CHOSEN_ON: Part(range(OF_EACH), 9, 0.04, (0.2, 1.0), ("USD",)),
    REPORTED_ON: Part(range(100, 100 + OF_EACH), 15, 0.1, (0.1, 0.6), ("USD", "EUR", "JPY")),
    HARDLY: Part(range(200, 200 + OF_EACH), 15, 0.1, (0.03, 0.1), ("USD",)),
}


@dataclass(frozen=True)
class Line:
    """A line of a bill; `kind` is Usage, Covered (by a Savings Plan), Credit or Fee."""

    day: date
    account: str
    service: str
    usage_type: str
    region: str
    resource: str
    kind: str
    quantity: float | None
    cost: float


@dataclass(frozen=True)
class Case:
    """A bill with a change, and what tells its cause: of several kinds each is right; empty where any is."""

    lines: tuple[Line, ...]
    ou: str
    right: tuple[str, ...]
    where: dict[str, str]

    def is_named(self, cause: Cause) -> bool:
        """Whether the cause is that which was planted, and at its place."""
        return cause.kind in self.right and all(getattr(cause, name) == value for name, value in self.where.items())


def score() -> list[bool]:
    """Print how often the cause is named first, by kind and part; whether the bar is met on the reported part."""
    met: list[bool] = []
    for name, part in PARTS.items():
        print(f"\n{name}: causes of planted changes that are named first")
        right = 0
        for kind in KINDS:
            named = [is_named_first(kind, seed, part) for seed in part.seeds]
            right += sum(named)
            print(f"{kind:<28}{sum(named):>3} of {len(named)}")
        print(f"{'together':<28}{right:>3} of {len(KINDS) * len(part.seeds)}")
        met += [right >= BAR] if name == REPORTED_ON else []
    return met


def is_named_first(kind: str, seed: int, part: Part) -> bool:
    """Whether the cause of one planted change is named first, by the product's own explanation."""
    case = planted(kind, seed, part)
    fmt, currency = ("cur2", "focus")[seed % 2], part.currencies[seed % len(part.currencies)]
    first = next(iter(_explained(case, fmt, currency, part).causes(case.ou)), None)
    return first is not None and case.is_named(first)


def planted(kind: str, seed: int, part: Part) -> Case:
    """A bill in which one thing has changed beside the noise."""
    rng = np.random.default_rng([seed, list(KINDS).index(kind)])
    steady = list(_steady(rng, part))
    account = f"1110000000{int(rng.integers(part.accounts)):02}"
    whole = sum(line.cost for line in steady if _ou(line.account) == _ou(account) and line.day == DAY)
    return KINDS[kind](rng, steady, account, whole * rng.uniform(*part.size))


def _ou(account: str) -> str:
    return OUS[int(account[-2:]) % len(OUS)]


def _steady(rng: np.random.Generator, part: Part) -> Iterator[Line]:
    """Both days: each account uses most services, some of it covered by a Savings Plan, and has a credit or a fee."""
    prices = {(s, u): rng.lognormal(-2, 1) for s, types in SERVICES.items() for u in types}
    for number in range(part.accounts):
        account, size = f"1110000000{number:02}", rng.lognormal(4.5, 0.7)
        used = rng.choice(len(REGIONS) - 1, int(rng.integers(1, 3)), replace=False)
        for service, types in SERVICES.items():
            if rng.uniform() < 0.15:
                continue
            for usage_type in types:
                for at in used:
                    cost, price = size * rng.lognormal(-2, 0.9), prices[service, usage_type]
                    covered = usage_type.startswith("BoxUsage") and rng.uniform() < 0.5
                    for n, share in enumerate(rng.dirichlet(np.full(int(rng.integers(1, 4)), 3))):
                        for day in (WEEK_AGO, DAY):
                            quantity = share * cost / price * rng.lognormal(0, part.noise)
                            where = account, service, usage_type, REGIONS[at], f"{usage_type}-{REGIONS[at]}-{n}"
                            spent = quantity * price * (0.65 if covered else 1)
                            yield Line(day, *where, "Covered" if covered else "Usage", quantity, spent)
        for day in (WEEK_AGO, DAY):
            if number % 4 == 1:
                yield Line(day, account, EC2, "", "", "", "Credit", None, -0.05 * size)
            if number % 4 == 2:
                yield Line(day, account, "AWSSupport", "", "", "", "Fee", None, 0.1 * size)


def _credit_ended(rng: np.random.Generator, steady: list[Line], account: str, amount: float) -> Case:
    own = [line for line in steady if not (line.account == account and line.kind == "Credit")]
    services = rng.choice(list(SERVICES), int(rng.integers(1, 4)), replace=False)
    ended = [
        Line(WEEK_AGO, account, service, "", "", "", "Credit", None, -amount * share)
        for service, share in zip(services, rng.dirichlet(np.ones(len(services))), strict=True)
    ]
    return Case((*own, *ended), _ou(account), ("credit_ended",), {"account": account})


def _price(rng: np.random.Generator, steady: list[Line], account: str, amount: float) -> Case:
    """A list price rises for everybody; the account's largest usage type of its kind pays most of the amount."""
    service, usage_type, spent = _largest(rng, steady, account)
    dearer = 1 + amount / spent

    def priced(line: Line) -> Line:
        is_it = line.day == DAY and (line.service, line.usage_type) == (service, usage_type)
        return replace(line, cost=line.cost * dearer) if is_it else line

    return Case(tuple(map(priced, steady)), _ou(account), ("price",), {"service": service, "usage_type": usage_type})


def _largest(rng: np.random.Generator, steady: list[Line], account: str) -> tuple[str, str, float]:
    """One of the three usage types that the account spends most on without a commitment, and what."""
    spent: dict[tuple[str, str], float] = {}
    for line in steady:
        if line.account == account and line.day == DAY and line.kind == "Usage":
            key = line.service, line.usage_type
            spent[key] = spent.get(key, 0.0) + line.cost
    key = sorted(spent, key=lambda key: -spent[key])[int(rng.integers(3))]
    return *key, spent[key]


def _new_account(rng: np.random.Generator, steady: list[Line], account: str, amount: float) -> Case:
    new = "999900000001"
    services = rng.choice(list(SERVICES), int(rng.integers(1, 5)), replace=False)
    lines = [
        Line(DAY, new, service, SERVICES[service][0], REGIONS[0], "a", "Usage", 10.0, amount * share)
        for service, share in zip(services, rng.dirichlet(np.ones(len(services))), strict=True)
    ]
    return Case((*steady, *lines), _ou(account), ("new_account",), {"account": new})


def _lost_coverage(rng: np.random.Generator, steady: list[Line], account: str, amount: float) -> Case:
    """A Savings Plan ends: the same use is on demand. It had covered one instance type of one account, or of all."""
    everybody = bool(rng.integers(2))
    factor = rng.uniform(1.4, 1.8)
    ou = _ou(account)

    def is_of(line: Line) -> bool:
        return line.usage_type == "BoxUsage:m5.large" and (everybody or line.account == account)

    rest = [line for line in steady if not is_of(line)]
    lines = []
    for owner in sorted({line.account for line in steady} if everybody else {account}):
        for day in (WEEK_AGO, DAY):
            quantity = 100 * rng.lognormal(0, 0.03)
            spent = amount / (factor - 1) * quantity / 100 * (1 if day == WEEK_AGO else factor)
            where = owner, EC2, "BoxUsage:m5.large", REGIONS[0], "m5"
            lines.append(Line(day, *where, "Covered" if day == WEEK_AGO else "Usage", quantity, spent))
    return Case((*rest, *lines), ou, ("coverage_lost",), {})


def _new_use(rng: np.random.Generator, steady: list[Line], account: str, amount: float) -> Case:
    """A service that the account did not use, or an instance type of one that it uses."""
    region = next(line.region for line in steady if line.account == account and line.region)
    if rng.integers(2):
        service, usage_type, right = "Amazon SageMaker", "Train:ml.p4d", "new_service"
    else:
        service, usage_type, right = EC2, "BoxUsage:p5.48xlarge", "new_usage"
    line = Line(DAY, account, service, usage_type, region, "x", "Usage", 3.0, amount)
    also = [replace(line, day=day, usage_type="BoxUsage:t3", cost=1.0) for day in (WEEK_AGO, DAY)]
    known = [replace(each, service=EC2) for each in also]
    return Case((*steady, *known, line), _ou(account), (right, "resource"), {"account": account, "service": service})


def _growth(rng: np.random.Generator, steady: list[Line], account: str, amount: float) -> Case:
    """More of one usage type: of all of its resources, or of one among them."""
    service, usage_type, spent = _largest(rng, steady, account)

    def is_of(line: Line) -> bool:
        return line.account == account and (line.service, line.usage_type) == (service, usage_type)

    of = [line for line in steady if is_of(line) and line.day == DAY and line.kind == "Usage"]
    grown = [of[int(rng.integers(len(of)))]] if rng.integers(2) else of
    spent = sum(line.cost for line in grown)
    more = 1 + amount / spent
    changed = {id(line) for line in grown}
    lines = tuple(
        replace(line, cost=line.cost * more, quantity=(line.quantity or 0) * more) if id(line) in changed else line
        for line in steady
    )
    where = {"account": account, "service": service, "usage_type": usage_type}
    alone = max(line.cost for line in grown) / spent
    if len(grown) == 1:
        return Case(lines, _ou(account), ("resource",), {**where, "resource": grown[0].resource})
    # Of several that grew alike, one may well make most of it.
    return Case(lines, _ou(account), ("quantity", "resource") if alone >= NEARLY_ALONE else ("quantity",), where)


def _region(rng: np.random.Generator, steady: list[Line], account: str, amount: float) -> Case:
    """A service moves to a region that the account did not use, and costs more there."""
    own = [line for line in steady if line.account == account and line.day == DAY and line.kind == "Usage"]
    names = sorted({line.service for line in own if line.service != "AWSSupport"})
    service = names[int(rng.integers(len(names)))]
    there = [line for line in own if line.service == service]
    spent, moved = sum(line.cost for line in there), {id(line) for line in there}
    factor = (spent + amount) / spent

    def there_now(line: Line) -> Line:
        if id(line) not in moved:
            return line
        cost, quantity = line.cost * factor, (line.quantity or 0) * factor / rng.uniform(1, 1.2)
        return replace(line, region=REGIONS[-1], usage_type=f"SAE1-{line.usage_type}", cost=cost, quantity=quantity)

    where = {"account": account, "region": REGIONS[-1]}
    return Case(tuple(map(there_now, steady)), _ou(account), ("new_region",), where)


def _fee(rng: np.random.Generator, steady: list[Line], account: str, amount: float) -> Case:
    service = str(rng.choice([*SERVICES, "AWS Marketplace"]))
    line = Line(DAY, account, service, "", "", "", "Fee", None, amount)
    return Case((*steady, line), _ou(account), ("fee",), {"account": account, "service": service})


KINDS: dict[str, Callable[[np.random.Generator, list[Line], str, float], Case]] = {
    "a credit that ended": _credit_ended,
    "a price that rose": _price,
    "a new account": _new_account,
    "coverage that was lost": _lost_coverage,
    "a new service or type": _new_use,
    "more of one usage type": _growth,
    "a move to a new region": _region,
    "a one-time fee": _fee,
}


def _explained(case: Case, fmt: str, currency: str, part: Part) -> Explanation:
    """The product's explanation of the bill, written as a file."""
    members = [Membership(f"1110000000{n:02}", f"account-{n}", _ou(f"{n:02}")) for n in range(part.accounts)]
    members.append(Membership("999900000001", "new", case.ou))
    accounts = account_map(members, ou_level="full", history="as_was")
    rows = [{"cur2": _cur2, "focus": _focus}[fmt](line, currency) for line in case.lines]
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "bill.parquet"
        pq.write_table(pa.Table.from_pylist(rows), file)
        spill = Path(folder) / "spill"
        warehouse = DuckDBWarehouse(str(file), fmt, Rules(BASIS), memory="500MB", threads=2, spill=spill)
        drivers = explain(warehouse.drivers(DAY, WEEK_AGO), DAY, WEEK_AGO, accounts, currency, BASIS)
        parts = moved_parts(warehouse.moved_parts(DAY, WEEK_AGO), drivers, {})
    return Explanation(DAY, WEEK_AGO, currency, BASIS, parts)


def _money(line: Line) -> float:
    return float(Decimal(line.cost).quantize(Decimal("1e-9")))


def _start(line: Line) -> datetime:
    return datetime(line.day.year, line.day.month, line.day.day)  # noqa: DTZ001  (as AWS writes it)


def _cur2(line: Line, currency: str) -> dict[str, object]:
    cost = _money(line)
    covered = line.kind == "Covered"
    return {
        "bill_payer_account_id": "999988887777",
        "line_item_usage_account_id": line.account,
        "line_item_line_item_type": "SavingsPlanCoveredUsage" if covered else line.kind,
        "line_item_product_code": CODES.get(line.service, line.service),
        "line_item_usage_type": line.usage_type,
        "line_item_operation": "Run" if line.quantity is not None else "",
        "line_item_resource_id": line.resource,
        "product_region_code": line.region,
        "line_item_currency_code": currency,
        "line_item_unblended_cost": cost / 0.65 if covered else cost,
        "line_item_usage_amount": line.quantity,
        "savings_plan_savings_plan_effective_cost": cost if covered else 0.0,
        "reservation_effective_cost": 0.0,
        "reservation_reservation_a_r_n": "",
        "line_item_usage_start_date": _start(line),
        "line_item_usage_end_date": _start(line) + timedelta(days=1),
    }


def _focus(line: Line, currency: str) -> dict[str, object]:
    cost, covered = _money(line), line.kind == "Covered"
    return {
        "BilledCost": 0.0 if covered else cost,
        "EffectiveCost": cost,
        "BillingAccountId": "999988887777",
        "BillingCurrency": currency,
        "ChargeCategory": {"Credit": "Credit", "Fee": "Purchase"}.get(line.kind, "Usage"),
        "ChargeClass": None,
        "ChargeFrequency": "Usage-Based" if line.quantity is not None else "One-Time",
        "ChargePeriodStart": _start(line),
        "ChargePeriodEnd": _start(line) + timedelta(days=1),
        "ServiceName": line.service,
        "SubAccountId": line.account,
        "RegionId": line.region or None,
        "ResourceId": line.resource or None,
        "SkuId": f"{line.usage_type}-{line.region}" if line.usage_type else None,
        "x_UsageType": line.usage_type or None,
        "PricingQuantity": line.quantity,
        "PricingUnit": "units" if line.quantity is not None else None,
        "CommitmentDiscountId": "a-plan" if covered else None,
        "CommitmentDiscountStatus": "Used" if covered else None,
    }

"""What the invented organization is charged for: every line that recurs, in USD at list price.

Times are days before the bill's last day, so that the newest days are always the interesting ones.
"""

from __future__ import annotations

from typing import NamedTuple

from finops_assets.stories.sample_bill.organization import ACCOUNTS
from finops_assets.stories.sample_bill.story_days import (
    ADOPTED,
    CREDIT_LAST,
    LOOP_FIRST,
    LOOP_LAST,
    REFUNDED,
    RESERVED,
    SPIKE_FIRST,
    SPIKE_LAST,
    TRAINING_FIRST,
    UNKNOWN_FIRST,
    WAREHOUSE_LAST,
)

ALWAYS = 1_000_000
"""A number of days before the last day that no window reaches."""


class Charge(NamedTuple):
    """A line that recurs: `cost` USD a day at list price, on a weekday and at the level of the last day.

    `since` and `until` are its first and last day; `kind` is CUR's line-item type. A `monthly` charge is booked
    on that day of the month, for the rest of it, and costs its `cost` a month (an RIFee: a day of its period).
    `growth` replaces the habit of the OU; `varied` lets an account differ from the profile it is made from.
    """

    account: str
    meter: str
    cost: float
    kind: str = "Usage"
    commitment: str = ""
    since: int = ALWAYS
    until: int = 0
    monthly: int = 0
    hourly: bool = False
    growth: float | None = None
    varied: bool = False


WEEKDAYS = (0.985, 1.0, 1.02, 1.01, 0.985)
"""Monday to Friday against the mean weekday."""


HOURS = (2, 9, 14, 14, 11, 6, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 2, 2, 2, 2, 2, 2, 1, 1)
"""Percent of a day's batch work in each UTC hour: it runs at night."""


PRIVATE_DISCOUNT = 0.03
"""The negotiated discount off usage and commitments, which only the net columns show."""


PROFILES: dict[str, dict[str, float]] = {
    "Root": {"objects": 0.4, "trails": 0.3, "keys": 0.05},
    "Security": {"threats": 11, "trails": 9, "objects": 16, "logs": 4, "keys": 0.6, "functions": 0.3},
    "Platform/Network": {"nat": 42, "transfer out": 34, "transit": 36, "addresses": 3, "names": 4},
    "Platform/Shared": {
        "instances": 27,
        "volumes": 7,
        "clusters": 4.8,
        "objects": 9,
        "logs": 16,
        "balancers": 1.6,
        "keys": 0.3,
        "transfer out": 2,
        "functions": 0.8,
    },
    "Workloads/Prod": {
        "instances": 24,
        "volumes": 8,
        "transfer out": 7,
        "nat": 3,
        "databases": 17,
        "database storage": 4.5,
        "objects": 5,
        "puts": 0.7,
        "functions": 2.2,
        "tables": 4.8,
        "content": 8,
        "balancers": 3.2,
        "addresses": 0.5,
        "logs": 4.5,
        "messages": 0.5,
        "keys": 0.3,
    },
    "Workloads/NonProd": {
        "instances": 15,
        "volumes": 4,
        "databases": 6,
        "database storage": 1.2,
        "objects": 1,
        "functions": 0.3,
        "tables": 0.4,
        "balancers": 1,
        "logs": 1.4,
        "messages": 0.05,
        "keys": 0.04,
    },
    "Data/Analytics": {
        "objects": 42,
        "puts": 3,
        "queries": 17,
        "instances": 12,
        "volumes": 4,
        "logs": 2,
        "keys": 0.6,
        "functions": 1.2,
    },
    "Data/ML": {
        "gpu instances": 46,
        "endpoints": 34,
        "objects": 14,
        "volumes": 8,
        "logs": 1.5,
        "functions": 0.4,
        "transfer out": 1,
    },
    "Sandbox": {"instances": 5, "volumes": 0.9, "objects": 0.3, "puts": 0.1, "functions": 0.04, "logs": 0.2},
}
"""What the usual account of an OU spends on each meter, in USD a weekday."""


USAGE = (
    *(
        Charge(account.name, meter, cost * account.scale, varied=True)
        for account in ACCOUNTS
        for meter, cost in PROFILES[account.ou_path].items()
    ),
    Charge("search-prod", "search", 32.0),
    Charge("observability", "search", 20.0),
    Charge("shop-prod", "clusters", 7.2),
    Charge("payments-prod", "clusters", 2.4),
    Charge("data-lake", "jobs", 38.0, hourly=True),
    Charge("event-stream", "jobs", 12.0, hourly=True),
    # Amounts of 1e-9 are real: they add up exactly and must not turn into nothing on the way.
    Charge("security-audit", "puts", 0.000000005),
    Charge("example-management", "names", 0.0000000012),
    # Two equal lines are two charges: whoever drops duplicates loses money.
    Charge("sandbox-delta", "addresses", 0.12),
    Charge("sandbox-delta", "addresses", 0.12),
)


SAVINGS_PLAN_USAGE = {
    "shop-prod": 92.0,
    "payments-prod": 64.0,
    "search-prod": 48.0,
    "mobile-api-prod": 38.0,
    "checkout-prod": 24.0,
    "Kundenportal Zürich (東京)": 18.0,
    "ci-cd": 8.0,
}
"""USD a weekday at list price; less the discount it stays just below what is committed, as covered usage does."""


COVERED = (
    *(
        Charge(account, "instances", cost, "SavingsPlanCoveredUsage", "compute", growth=0.0)
        for account, cost in SAVINGS_PLAN_USAGE.items()
    ),
    Charge("payments-prod", "databases", 80.0, "DiscountedUsage", "postgres", growth=0.0),
    Charge("shop-prod", "caches", 35.8, until=RESERVED + 1, growth=0.0),
    Charge("shop-prod", "caches", 35.8, "DiscountedUsage", "redis", since=RESERVED, growth=0.0),
)


FEES = (
    Charge("example-management", "savings plan", 24 * 9.3, "SavingsPlanRecurringFee", "compute"),
    Charge("payments-prod", "databases", 24 * 2.55, "RIFee", "postgres", monthly=1),
    Charge("shop-prod", "caches", 24 * 0.51, "RIFee", "redis", since=RESERVED, monthly=1),
    Charge("shop-prod", "caches", 4380.0, "Fee", "redis", since=RESERVED, until=RESERVED),
    Charge("example-management", "support", 5140.0, "Fee", monthly=1),
    Charge("observability", "observability", 1850.0, "Fee", monthly=3),
    Charge("example-management", "support", 411.2, "Tax", monthly=1),
    Charge("shop-prod", "instances", 604.0, "Tax", monthly=1),
    Charge("payments-prod", "databases", 418.0, "Tax", monthly=1),
    Charge("network-egress", "nat", 302.0, "Tax", monthly=1),
    Charge("data-lake", "objects", 296.0, "Tax", monthly=1),
    Charge("ml-training", "gpu instances", 271.0, "Tax", monthly=1),
    Charge("Kundenportal Zürich (東京)", "instances", 187.0, "Tax", monthly=1),
    Charge("observability", "observability", 148.0, "Tax", monthly=1),
)


EVENTS = (
    Charge("ml-training", "gpu training", 780.0, since=TRAINING_FIRST, growth=0.0),
    Charge("network-egress", "nat", 360.0, since=SPIKE_FIRST, until=SPIKE_LAST, growth=0.0),
    Charge("network-egress", "transfer out", 170.0, since=SPIKE_FIRST, until=SPIKE_LAST, growth=0.0),
    Charge("sandbox-gamma", "puts", 240.0, since=LOOP_FIRST, until=LOOP_LAST, growth=0.0),
    Charge("ml-serving", "tokens", 44.0, since=ADOPTED, growth=0.3),
    Charge("mobile-api-prod", "tokens", 12.0, since=ADOPTED, growth=0.3),
    Charge("warehouse", "warehouses", 78.0, until=WAREHOUSE_LAST, growth=0.0),
    Charge("poc-answers", "instances", 9.2, since=UNKNOWN_FIRST),
    Charge("poc-answers", "objects", 0.6, since=UNKNOWN_FIRST),
    Charge("poc-answers", "tokens", 2.1, since=UNKNOWN_FIRST),
    Charge("shop-prod", "instances", -95.0, "Credit", until=CREDIT_LAST),
    Charge("payments-prod", "databases", -1240.0, "Refund", since=REFUNDED, until=REFUNDED),
)


CHARGES = (*USAGE, *COVERED, *FEES, *EVENTS)
"""Everything that is ever billed; the order is that of the lines of a day."""

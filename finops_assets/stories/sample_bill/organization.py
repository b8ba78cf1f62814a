"""The invented organization: its OUs and their habits, its accounts, its budgets; all of it made up."""

from __future__ import annotations

from typing import NamedTuple


class Habit(NamedTuple):
    """How an OU spends: Saturday's share of a weekday, and growth as a share of today's level per 30 days."""

    weekend: float
    growth: float


class Account(NamedTuple):
    """A linked account; `scale` is its size against the usual one of its OU."""

    id: str
    name: str
    ou_path: str
    scale: float
    region: str = "us-east-1"


HABITS = {
    "Root": Habit(weekend=1.0, growth=0.0),
    "Security": Habit(weekend=0.97, growth=0.01),
    "Platform/Network": Habit(weekend=0.85, growth=0.02),
    "Platform/Shared": Habit(weekend=0.72, growth=0.015),
    "Workloads/Prod": Habit(weekend=0.88, growth=0.025),
    "Workloads/NonProd": Habit(weekend=0.34, growth=0.01),
    "Data/Analytics": Habit(weekend=0.78, growth=0.02),
    "Data/ML": Habit(weekend=0.70, growth=0.035),
    "Sandbox": Habit(weekend=0.22, growth=0.0),
    "": Habit(weekend=0.5, growth=0.0),
}

ACCOUNTS = (
    Account("111000000001", "example-management", "Root", 1.0),
    Account("111000000002", "log-archive", "Security", 1.3),
    Account("111000000003", "security-audit", "Security", 0.9),
    Account("111000000004", "network-hub", "Platform/Network", 1.2),
    Account("111000000005", "network-egress", "Platform/Network", 1.0),
    Account("111000000006", "dns", "Platform/Network", 0.1),
    Account("111000000007", "shared-services", "Platform/Shared", 1.0),
    Account("111000000008", "ci-cd", "Platform/Shared", 1.4),
    Account("111000000009", "observability", "Platform/Shared", 1.1),
    Account("111000000010", "artifacts", "Platform/Shared", 0.4),
    Account("111000000011", "shop-prod", "Workloads/Prod", 2.0),
    Account("111000000012", "payments-prod", "Workloads/Prod", 1.5),
    Account("111000000013", "search-prod", "Workloads/Prod", 1.1),
    Account("111000000014", "checkout-prod", "Workloads/Prod", 0.9),
    Account("111000000015", "mobile-api-prod", "Workloads/Prod", 1.0),
    Account("111000000016", "catalog-prod", "Workloads/Prod", 0.7),
    Account("111000000017", "fulfilment-prod", "Workloads/Prod", 0.6),
    Account("111000000018", "Kundenportal Zürich (東京)", "Workloads/Prod", 0.8, "eu-central-1"),
    Account("111000000019", "partners-prod", "Workloads/Prod", 0.4, "eu-central-1"),
    Account("111000000020", "loyalty-pilot", "Workloads/NonProd", 1.3, "eu-central-1"),
    Account("111000000021", "shop-dev", "Workloads/NonProd", 0.9),
    Account("111000000022", "shop-staging", "Workloads/NonProd", 1.1),
    Account("111000000023", "payments-dev", "Workloads/NonProd", 0.6),
    Account("111000000024", "payments-staging", "Workloads/NonProd", 0.9),
    Account("111000000025", "search-dev", "Workloads/NonProd", 0.7),
    Account("111000000026", "checkout-staging", "Workloads/NonProd", 0.6),
    Account("111000000027", "mobile-api-dev", "Workloads/NonProd", 0.5),
    Account("111000000028", "catalog-dev", "Workloads/NonProd", 0.4),
    Account("111000000029", "partners-dev", "Workloads/NonProd", 0.3, "eu-central-1"),
    Account("111000000030", "warehouse", "Data/Analytics", 1.0),
    Account("111000000031", "data-lake", "Data/Analytics", 1.4),
    Account("111000000032", "bi-reports", "Data/Analytics", 0.5),
    Account("111000000033", "event-stream", "Data/Analytics", 0.7),
    Account("111000000034", "ml-training", "Data/ML", 1.4),
    Account("111000000035", "ml-serving", "Data/ML", 1.1),
    Account("111000000036", "ml-research", "Data/ML", 0.5),
    Account("111000000037", "sandbox-alpha", "Sandbox", 1.0),
    Account("111000000038", "sandbox-beta", "Sandbox", 0.7),
    Account("111000000039", "sandbox-gamma", "Sandbox", 1.2),
    Account("111000000040", "sandbox-delta", "Sandbox", 0.3),
)
"""Every account that the organization knows, in the OU that it started in."""

UNKNOWN = Account("111000000077", "poc-answers", "", 1.0)
"""Billed, but in no map."""

BILLED = {account.name: account for account in (*ACCOUNTS, UNKNOWN)}
MANAGEMENT = BILLED["example-management"]


BUDGETS = (
    ("All", "default", 98000, "USD"),
    ("Data/Analytics", "default", 13500, "USD"),
    ("Data/ML", "default", 11000, "USD"),
    ("Platform", "default", 20000, "USD"),
    ("Root", "default", 13000, "USD"),
    ("Sandbox", "default", 1000, "USD"),
    ("Security", "default", 3400, "USD"),
    ("Workloads/NonProd", "default", 6500, "USD"),
    ("Workloads/Prod", "default", 31000, "USD"),
)
"""The plan: rows of a budgets.csv."""

"""The Savings Plan and the reservations that the invented organization has bought."""

from __future__ import annotations

from typing import NamedTuple


class Commitment(NamedTuple):
    """A Savings Plan or a reservation: its fees in USD, its discount off the list price, and when it was bought."""

    arn: str
    offering: str
    payment: str
    years: int
    hourly: float
    upfront: float
    discount: float
    bought: int

    @property
    def is_savings_plan(self) -> bool:
        return self.arn.startswith("arn:aws:savingsplans:")

    @property
    def upfront_per_day(self) -> float:
        return self.upfront / (365 * self.years)

    @property
    def per_day(self) -> float:
        """What the commitment costs a day, amortized, in USD."""
        return self.hourly * 24 + self.upfront_per_day


COMMITMENTS = {
    "compute": Commitment(
        arn="arn:aws:savingsplans::111000000001:savingsplan/00000000-0000-4000-8000-000000000001",
        offering="ComputeSavingsPlans",
        payment="No Upfront",
        years=3,
        hourly=9.3,
        upfront=0.0,
        discount=0.28,
        bought=640,
    ),
    "postgres": Commitment(
        arn="arn:aws:rds:us-east-1:111000000012:ri:ri-0000-example-postgres",
        offering="standard",
        payment="No Upfront",
        years=3,
        hourly=2.55,
        upfront=0.0,
        discount=0.32,
        bought=610,
    ),
    "redis": Commitment(
        arn="arn:aws:elasticache:us-east-1:111000000011:reserved-instance:ri-0000-example-redis",
        offering="standard",
        payment="Partial Upfront",
        years=1,
        hourly=0.51,
        upfront=4380.0,
        discount=0.34,
        bought=52,
    ),
}

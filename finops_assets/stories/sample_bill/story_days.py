"""What goes wrong in the invented organization: on how many days before the bill's last day, and in which words."""

from __future__ import annotations

from typing import NamedTuple

from finops_assets.stories.sample_bill.commitments import COMMITMENTS


class Story(NamedTuple):
    """A sentence about what is hidden in the bill; `{0}` and `{1}` stand for the days `before` the last day."""

    text: str
    before: tuple[int, ...] = ()


MOVED, MOVED_TO, MOVED_BEFORE = "loyalty-pilot", "Workloads/Prod", 28


SPIKE_FIRST, SPIKE_LAST = 36, 34


LOOP_FIRST, LOOP_LAST = 20, 18


TRAINING_FIRST = 3


ADOPTED = 44


WAREHOUSE_LAST = 25


UNKNOWN_FIRST = 12


CREDIT_LAST = 16


REFUNDED = 10


RESERVED = COMMITMENTS["redis"].bought


STORIES = (
    Story(
        "Amazon SageMaker in ml-training (Data/ML) starts GPU training on {0}: about 780 USD a day more, to the end.",
        (TRAINING_FIRST,),
    ),
    Story(
        "A refund of 1,240 USD for Amazon Relational Database Service in payments-prod is booked on {0}.", (REFUNDED,)
    ),
    Story(
        "Account 111000000077 (poc-answers) is billed from {0} on, about 12 USD a weekday, and is not in accounts.csv.",
        (UNKNOWN_FIRST,),
    ),
    Story("The credit of 95 USD a day in shop-prod ends: its last line is of {0}.", (CREDIT_LAST,)),
    Story(
        "Amazon Simple Storage Service in sandbox-gamma (Sandbox) loops from {0} to {1}: a bucket logs into itself, "
        "about 240 USD a day.",
        (LOOP_FIRST, LOOP_LAST),
    ),
    Story(
        "Amazon Redshift in warehouse (Data/Analytics), about 78 USD a day, vanishes: its last day is {0}.",
        (WAREHOUSE_LAST,),
    ),
    Story("Account loyalty-pilot moves from Workloads/NonProd to Workloads/Prod on {0}.", (MOVED_BEFORE,)),
    Story(
        "NAT gateways and data transfer in network-egress (Platform/Network) spike from {0} to {1}: "
        "about 530 USD a day more.",
        (SPIKE_FIRST, SPIKE_LAST),
    ),
    Story(
        "Amazon Bedrock is adopted on {0} in ml-serving (Data/ML) and mobile-api-prod (Workloads/Prod), and grows.",
        (ADOPTED,),
    ),
    Story(
        "A reservation for Amazon ElastiCache in shop-prod is bought on {0}: 4,380 USD upfront where cost is billed, "
        "12 USD a day where it is amortized.",
        (RESERVED,),
    ),
    Story("Two lines a day in sandbox-delta are equal, and both are owed; other lines are worth 1e-9 USD."),
)

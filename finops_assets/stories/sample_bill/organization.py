"""The invented organization: its accounts, what they use, what they are committed to, and what goes wrong in it.

Plain data; the arithmetic and the files are in `exports`. Times are days before the bill's last day, so that the
newest days are always the interesting ones; money is USD. Account ids, names and amounts are made up; service names,
product codes, usage types and charge types are AWS's own.
"""

from __future__ import annotations

from typing import NamedTuple

ALWAYS = 1_000_000
"""A number of days before the last day that no window reaches."""


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


class Service(NamedTuple):
    """A service as both formats name it: CUR's `product['product_name']` is FOCUS's `ServiceName`."""

    name: str
    category: str
    subcategory: str


class Meter(NamedTuple):
    """What is metered and its list price in USD per unit; a `steady` meter knows no weekends, as storage does."""

    service: str
    usage_type: str
    operation: str
    unit: str
    price: float
    family: str
    steady: bool = False
    servicecode: str = ""

    @property
    def instance(self) -> str:
        """The instance type, which AWS puts behind the colon of the usage type; empty for other usage."""
        kind = self.usage_type.partition(":")[2]
        return kind if self.unit.endswith("Hrs") and "." in kind else ""


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


class Story(NamedTuple):
    """A sentence about what is hidden in the bill; `{0}` and `{1}` stand for the days `before` the last day."""

    text: str
    before: tuple[int, ...] = ()


WEEKDAYS = (0.985, 1.0, 1.02, 1.01, 0.985)
"""Monday to Friday against the mean weekday."""

HOURS = (2, 9, 14, 14, 11, 6, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 2, 2, 2, 2, 2, 2, 1, 1)
"""Percent of a day's batch work in each UTC hour: it runs at night."""

PRIVATE_DISCOUNT = 0.03
"""The negotiated discount off usage and commitments, which only the net columns show."""

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

SERVICES = {
    "AmazonEC2": Service("Amazon Elastic Compute Cloud", "Compute", "Virtual Machines"),
    "AmazonRDS": Service("Amazon Relational Database Service", "Databases", "Relational Databases"),
    "AmazonS3": Service("Amazon Simple Storage Service", "Storage", "Object Storage"),
    "AWSLambda": Service("AWS Lambda", "Compute", "Serverless Compute"),
    "AmazonDynamoDB": Service("Amazon DynamoDB", "Databases", "NoSQL Databases"),
    "AmazonCloudFront": Service("Amazon CloudFront", "Networking", "Content Delivery"),
    "AWSELB": Service("Elastic Load Balancing", "Networking", "Application Networking"),
    "AmazonVPC": Service("Amazon Virtual Private Cloud", "Networking", "Network Infrastructure"),
    "AmazonRoute53": Service("Amazon Route 53", "Networking", "Network Routing"),
    "AmazonCloudWatch": Service("AmazonCloudWatch", "Management and Governance", "Observability"),
    "AWSCloudTrail": Service("AWS CloudTrail", "Management and Governance", "Compliance"),
    "AmazonEKS": Service("Amazon Elastic Container Service for Kubernetes", "Compute", "Containers"),
    "AmazonElastiCache": Service("Amazon ElastiCache", "Databases", "Caching"),
    "AmazonES": Service("Amazon OpenSearch Service", "Analytics", "Search"),
    "AmazonRedshift": Service("Amazon Redshift", "Databases", "Data Warehouses"),
    "AmazonAthena": Service("Amazon Athena", "Analytics", "Analytics Platforms"),
    "AWSGlue": Service("AWS Glue", "Analytics", "Data Processing"),
    "AmazonSageMaker": Service("Amazon SageMaker", "AI and Machine Learning", "Machine Learning"),
    "AmazonBedrock": Service("Amazon Bedrock", "AI and Machine Learning", "Generative AI"),
    "AWSQueueService": Service("Amazon Simple Queue Service", "Integration", "Messaging"),
    "awskms": Service("AWS Key Management Service", "Security", "Secret Management"),
    "AmazonGuardDuty": Service("Amazon GuardDuty", "Security", "Threat Detection and Response"),
    "AWSSupportBusiness": Service("AWS Support (Business)", "Management and Governance", "Support"),
    "ComputeSavingsPlans": Service("Savings Plans for AWS Compute usage", "Compute", "Other (Compute)"),
    "4kexampleobservability0": Service("Example Observability", "Management and Governance", "Observability"),
}
"""By CUR product code."""

SELLERS = {"4kexampleobservability0": "Example Observability Ltd"}
"""Who sells what is bought through AWS Marketplace, where product codes are opaque."""

GLOBAL_SERVICES = {"AmazonCloudFront", "AmazonRoute53", "AWSSupportBusiness", "ComputeSavingsPlans", *SELLERS}
REGION_NAMES = {"us-east-1": "US East (N. Virginia)", "eu-central-1": "EU (Frankfurt)"}
USAGE_TYPE_PREFIXES = {"us-east-1": "", "eu-central-1": "EUC1-"}

METERS = {
    "instances": Meter("AmazonEC2", "BoxUsage:m6i.xlarge", "RunInstances", "Hrs", 0.192, "Compute Instance"),
    "gpu instances": Meter("AmazonEC2", "BoxUsage:g5.2xlarge", "RunInstances", "Hrs", 1.212, "Compute Instance"),
    "volumes": Meter("AmazonEC2", "EBS:VolumeUsage.gp3", "CreateVolume-Gp3", "GB-Mo", 0.08, "Storage", steady=True),
    "transfer out": Meter(
        "AmazonEC2",
        "DataTransfer-Out-Bytes",
        "RunInstances",
        "GB",
        0.09,
        "Data Transfer",
        servicecode="AWSDataTransfer",
    ),
    "nat": Meter("AmazonEC2", "NatGateway-Bytes", "NatGateway", "GB", 0.045, "NAT Gateway"),
    "databases": Meter(
        "AmazonRDS", "InstanceUsage:db.r6g.large", "CreateDBInstance:0014", "Hrs", 0.225, "Database Instance"
    ),
    "database storage": Meter(
        "AmazonRDS", "RDS:GP3-Storage", "CreateDBInstance:0014", "GB-Mo", 0.115, "Database Storage", steady=True
    ),
    "objects": Meter("AmazonS3", "TimedStorage-ByteHrs", "StandardStorage", "GB-Mo", 0.023, "Storage", steady=True),
    "puts": Meter("AmazonS3", "Requests-Tier1", "PutObject", "Requests", 0.000005, "API Request"),
    "functions": Meter("AWSLambda", "Lambda-GB-Second", "Invoke", "Lambda-GB-Second", 0.0000166667, "Serverless"),
    "tables": Meter(
        "AmazonDynamoDB",
        "WriteRequestUnits",
        "PayPerRequestThroughput",
        "WriteRequestUnits",
        0.000000625,
        "Amazon DynamoDB PayPerRequest Throughput",
    ),
    "content": Meter("AmazonCloudFront", "US-DataTransfer-Out-Bytes", "GET", "GB", 0.085, "Data Transfer"),
    "balancers": Meter(
        "AWSELB",
        "LoadBalancerUsage",
        "LoadBalancing:Application",
        "Hrs",
        0.0225,
        "Load Balancer-Application",
        steady=True,
    ),
    "addresses": Meter(
        "AmazonVPC", "PublicIPv4:InUseAddress", "AllocateAddressVPC", "Hrs", 0.005, "VpcPublicIpv4", steady=True
    ),
    "transit": Meter("AmazonVPC", "TransitGateway-Bytes", "TransitGatewayVPC", "GigaBytes", 0.02, "Transit Gateway"),
    "names": Meter("AmazonRoute53", "DNS-Queries", "A", "Queries", 0.0000004, "DNS Query"),
    "logs": Meter("AmazonCloudWatch", "DataProcessing-Bytes", "PutLogEvents", "GB", 0.5, "Data Payload"),
    "trails": Meter("AWSCloudTrail", "PaidEventsRecorded", "None", "Events", 0.00002, "Management Tools"),
    "clusters": Meter(
        "AmazonEKS", "AmazonEKS-Hours:perCluster", "CreateOperation", "Hours", 0.1, "Compute", steady=True
    ),
    "caches": Meter(
        "AmazonElastiCache",
        "NodeUsage:cache.r6g.large",
        "CreateCacheCluster:0002",
        "Hrs",
        0.206,
        "Cache Instance",
        steady=True,
    ),
    "search": Meter(
        "AmazonES", "ESInstance:r6g.large", "ESDomain", "Hrs", 0.167, "Amazon OpenSearch Service Instance", steady=True
    ),
    "warehouses": Meter(
        "AmazonRedshift", "Node:ra3.xlplus", "RunComputeNode:0001", "Node-Hrs", 1.086, "Compute Instance", steady=True
    ),
    "queries": Meter("AmazonAthena", "DataScannedInTB", "Athena", "Terabytes", 5.0, "Athena Queries"),
    "jobs": Meter("AWSGlue", "ETL-DPU-Hour", "Jobrun", "DPU-Hour", 0.44, "AWS Glue"),
    "endpoints": Meter("AmazonSageMaker", "Host:ml.m5.xlarge", "RunInstance", "Hrs", 0.23, "ML Instance"),
    "gpu training": Meter(
        "AmazonSageMaker", "Train:ml.p4d.24xlarge", "RunInstance", "Hrs", 37.688, "ML Instance", steady=True
    ),
    "tokens": Meter(
        "AmazonBedrock", "NovaPro-output-tokens", "InvokeModelInference", "1K tokens", 0.0032, "Amazon Bedrock"
    ),
    "messages": Meter("AWSQueueService", "Requests-RBP", "SendMessage", "Requests", 0.0000004, "API Request"),
    "keys": Meter("awskms", "KMS-Requests", "Decrypt", "Requests", 0.000003, "API Request"),
    "threats": Meter("AmazonGuardDuty", "PaidEventsAnalyzed", "None", "Events", 0.000004, "Security Services"),
    "support": Meter("AWSSupportBusiness", "Dollar", "", "Dollar", 1.0, "AWS Premium Support"),
    "savings plan": Meter("ComputeSavingsPlans", "ComputeSP:3yrNoUpfront", "", "Hrs", 9.3, "Savings Plans"),
    "observability": Meter(
        "4kexampleobservability0", "Global-SoftwareUsage-Contracts", "Contract", "Units", 1850.0, "Software"
    ),
}

PROFILES = {
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

"""What AWS sells, as far as the invented organization uses it: services, meters and their list prices.

Service names, product codes and usage types are AWS's own."""

from __future__ import annotations

from typing import NamedTuple


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

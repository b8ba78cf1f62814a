"""One name of a service: lines of a Cost and Usage Report that name a product's code alone get the code's name.

A line's own product name counts. Where it has none (discounts, fees, and all lines of an export without the names), its
code's name is learned from the bill's other lines, else taken from those of AWS's price list, else it is the code. The
name that was learned first is kept in the archive and stays, so that no archived day is named anew. The
data transfer of S3 is so S3's, as in Cost Explorer: what it is called by itself, AWSDataTransfer, is no product code.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING

from finops_assets.core.bill.bill_format import BillFormat, quoted
from finops_assets.core.records import RecordType

if TYPE_CHECKING:
    from finops_assets.core.ports import Archive

PRICE_LIST: Mapping[str, str] = MappingProxyType(
    {
        "AWSAmplify": "AWS Amplify",
        "AWSAppSync": "AWS AppSync",
        "AWSBackup": "AWS Backup",
        "AWSBudgets": "AWS Budgets",
        "AWSCertificateManager": "AWS Certificate Manager",
        "AWSCloudMap": "AWS Cloud Map",
        "AWSCloudShell": "AWS CloudShell",
        "AWSCloudTrail": "AWS CloudTrail",
        "AWSCodeArtifact": "AWS CodeArtifact",
        "AWSCodeCommit": "AWS CodeCommit",
        "AWSCodePipeline": "AWS CodePipeline",
        "AWSConfig": "AWS Config",
        "AWSCostExplorer": "AWS Cost Explorer",
        "AWSDataSync": "AWS DataSync",
        "AWSDataTransfer": "AWS Data Transfer",
        "AWSDatabaseMigrationSvc": "AWS Database Migration Service",
        "AWSDeveloperSupport": "AWS Support (Developer)",
        "AWSDirectConnect": "AWS Direct Connect",
        "AWSDirectoryService": "AWS Directory Service",
        "AWSELB": "Elastic Load Balancing",
        "AWSEvents": "CloudWatch Events",
        "AWSGlobalAccelerator": "AWS Global Accelerator",
        "AWSGlue": "AWS Glue",
        "AWSIoT": "AWS IoT",
        "AWSLambda": "AWS Lambda",
        "AWSNetworkFirewall": "AWS Network Firewall",
        "AWSQueueService": "Amazon Simple Queue Service",
        "AWSSecretsManager": "AWS Secrets Manager",
        "AWSSecurityHub": "AWS Security Hub",
        "AWSServiceCatalog": "AWS Service Catalog",
        "AWSStorageGateway": "AWS Storage Gateway",
        "AWSSupportBusiness": "AWS Support (Business)",
        "AWSSupportEnterprise": "AWS Support (Enterprise)",
        "AWSSystemsManager": "AWS Systems Manager",
        "AWSTransfer": "AWS Transfer Family",
        "AWSXRay": "AWS X-Ray",
        "AmazonApiGateway": "Amazon API Gateway",
        "AmazonAthena": "Amazon Athena",
        "AmazonBedrock": "Amazon Bedrock",
        "AmazonCloudFront": "Amazon CloudFront",
        "AmazonCloudWatch": "AmazonCloudWatch",
        "AmazonCognito": "Amazon Cognito",
        "AmazonConnect": "Amazon Connect",
        "AmazonDetective": "Amazon Detective",
        "AmazonDocDB": "Amazon DocumentDB (with MongoDB compatibility)",
        "AmazonDynamoDB": "Amazon DynamoDB",
        "AmazonEC2": "Amazon Elastic Compute Cloud",
        "AmazonECR": "Amazon EC2 Container Registry (ECR)",
        "AmazonECS": "Amazon Elastic Container Service",
        "AmazonEFS": "Amazon Elastic File System",
        "AmazonEKS": "Amazon Elastic Container Service for Kubernetes",
        "AmazonES": "Amazon OpenSearch Service",
        "AmazonElastiCache": "Amazon ElastiCache",
        "AmazonFSx": "Amazon FSx",
        "AmazonGlacier": "Amazon Glacier",
        "AmazonGuardDuty": "Amazon GuardDuty",
        "AmazonInspector": "Amazon Inspector",
        "AmazonInspectorV2": "Amazon Inspector",
        "AmazonKinesis": "Amazon Kinesis",
        "AmazonKinesisAnalytics": "Amazon Kinesis Analytics",
        "AmazonKinesisFirehose": "Amazon Kinesis Firehose",
        "AmazonLightsail": "Amazon Lightsail",
        "AmazonMQ": "Amazon MQ",
        "AmazonMSK": "Amazon Managed Streaming for Apache Kafka",
        "AmazonMWAA": "Amazon Managed Workflows for Apache Airflow",
        "AmazonMacie": "Amazon Macie",
        "AmazonNeptune": "Amazon Neptune",
        "AmazonPinpoint": "Amazon Pinpoint",
        "AmazonPolly": "Amazon Polly",
        "AmazonQuickSight": "Amazon QuickSight",
        "AmazonRDS": "Amazon Relational Database Service",
        "AmazonRedshift": "Amazon Redshift",
        "AmazonRegistrar": "Amazon Registrar",
        "AmazonRekognition": "Amazon Rekognition",
        "AmazonRoute53": "Amazon Route 53",
        "AmazonS3": "Amazon Simple Storage Service",
        "AmazonSES": "Amazon Simple Email Service",
        "AmazonSNS": "Amazon Simple Notification Service",
        "AmazonSageMaker": "Amazon SageMaker",
        "AmazonStates": "AWS Step Functions",
        "AmazonTextract": "Amazon Textract",
        "AmazonTimestream": "Amazon Timestream",
        "AmazonVPC": "Amazon Virtual Private Cloud",
        "AmazonWorkSpaces": "Amazon WorkSpaces",
        "CodeBuild": "AWS CodeBuild",
        "ComputeSavingsPlans": "Savings Plans for AWS Compute usage",
        "ElasticMapReduce": "Amazon Elastic MapReduce",
        "MachineLearningSavingsPlans": "Savings Plans for AWS Machine Learning",
        "awskms": "AWS Key Management Service",
        "awswaf": "AWS WAF",
        "datapipeline": "AWS Data Pipeline",
    }
)
"""The product codes of common services, and their names in AWS's price list and so in bills."""


@dataclass(frozen=True)
class ServiceNames:
    """Product code -> the name that the bill itself has for it."""

    learned: Mapping[str, str] = field(default_factory=dict)

    def of(self, bill_format: BillFormat) -> Mapping[str, str]:
        """Product code -> name, of all codes of the format that have one; none where lines have names of their own."""
        return {**PRICE_LIST, **self.learned} if bill_format.service_code else {}

    def and_also(self, learned: Mapping[str, str]) -> ServiceNames:
        """With further codes; the name that a code has already stays, so that no archived day is named anew."""
        return ServiceNames({**learned, **self.learned})


RECORD = RecordType[ServiceNames](ServiceNames, "the names of services")
RECORD_PATH = "_state/service_names.json"


def known_names(archive: Archive | None) -> ServiceNames:
    """The names that were learned from the bill until now; none without an archive."""
    return (RECORD.read(archive, RECORD_PATH) if archive else None) or ServiceNames()


def keep_names(archive: Archive, learned: Mapping[str, str]) -> None:
    """Keep the names of codes that are new."""
    known = known_names(archive)
    if (names := known.and_also(learned)) != known:
        RECORD.write(archive, RECORD_PATH, names)


def learned(rows: Iterable[tuple[str | None, str | None, int]]) -> dict[str, str]:
    """The name of each code: that of most lines; of equal ones, the first by the alphabet.

    Args:
        rows: (code, name, lines); without a code or a name, a row teaches nothing.
    """
    lines: dict[str, dict[str, int]] = defaultdict(lambda: defaultdict(int))
    for code, name, count in rows:
        if code and name and code != name:
            lines[code][name] += count
    return {code: min(of, key=lambda name: (-of[name], name)) for code, of in sorted(lines.items())}


def join_names(names: Mapping[str, str], service: str) -> tuple[str, str]:
    """SQL of a join with the names, and of a service's name by it; `service` is a column with a name or a code.

    It is to be used on sums: a join for each line of the bill would be slow.
    """
    if not names:
        return "", service
    rows = ", ".join(f"({quoted(code)}, {quoted(name)})" for code, name in sorted(names.items()))
    return (
        f"\nLEFT JOIN (VALUES {rows}) AS named (service_code, service_name) ON {service} = named.service_code",
        f"COALESCE(named.service_name, {service})",
    )

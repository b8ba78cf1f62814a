"""terraform/: one contract with the code, an account that is made, used and undone.

Tests that run Terraform skip where it, or its AWS provider, is not to be had: `scripts/terraform-check` tells how it
looks for both. What `terraform test` asserts, and that it finds mistakes, is tried there. Most of the time goes by
while the provider waits for a database, which the stand-in has at once.
"""

from __future__ import annotations

import importlib.util
import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import Any

import pytest

from finops_assets.cli.from_terraform import settings_in, typed, written_into
from finops_assets.core.ports import METRICS
from finops_assets.defs.run import run_days
from finops_assets.platform import Platform, build_platform
from finops_assets.settings.load import load_settings
from finops_assets.stories.sample_bill import SampleBill, write_sample_bill
from finops_assets_tests.support.on_aws import newest_memberships
from standin.faults import Call
from standin.iam import Request, allowed, requests_of
from standin.server import StandIn

ROOT = Path(__file__).parents[2]
MODULE, CHECK = ROOT / "terraform", ROOT / "scripts" / "terraform-check"
NOT_TO_BE_HAD = 3


def of_the_module(pattern: str) -> str:
    """The text of these files of the module."""
    return "\n".join(file.read_text(encoding="utf-8") for file in sorted(MODULE.glob(pattern)))


# --- without Terraform ------------------------------------------------------------------------------------------------


def test_the_tables_are_those_of_the_code() -> None:
    """terraform/contract.json is what scripts/terraform_contract.py writes: one source for Glue's tables."""
    spec = importlib.util.spec_from_file_location("contract", ROOT / "scripts" / "terraform_contract.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    written = json.loads((MODULE / "contract.json").read_text(encoding="utf-8"))
    assert written == module.contract(), "python scripts/terraform_contract.py > terraform/contract.json"


def test_alarms_are_on_metrics_that_the_platform_has() -> None:
    """No alarm waits for a number that nobody sends, which would be silent, or never end."""
    named = set(re.findall(r'metric = "(\w+)"', of_the_module("alerts.tf")))
    assert named
    assert named <= set(METRICS)


def test_every_input_and_output_is_on_the_page() -> None:
    """terraform/README.md names each variable and each output."""
    page = (MODULE / "README.md").read_text(encoding="utf-8")
    for kind in ("variable", "output"):
        names = re.findall(rf'^{kind} "(\w+)"', of_the_module("*.tf"), re.MULTILINE)
        assert names
        assert [name for name in names if f"`{name}`" not in page] == []


def test_the_deployment_of_the_dashboard_may_do_what_its_page_says() -> None:
    """The policy of quicksight.tf has the actions of docs/quicksight.md."""
    page = (ROOT / "docs" / "quicksight.md").read_text(encoding="utf-8")
    [told] = re.findall(r'"Action": \[(.*?)\]', page, re.DOTALL)
    document = of_the_module("quicksight.tf").split('"quicksight_deploy" {')[1]
    assert set(re.findall(r'"(quicksight:\w+)"', document)) == set(re.findall(r'"(quicksight:\w+)"', told))


def test_every_input_is_typed_and_described() -> None:
    """Nobody has to read the code to fill in terraform.tfvars."""
    for text in re.findall(r'(?ms)^variable "\w+" \{$.*?^\}$', of_the_module("*.tf")):
        assert re.search(r"^  type +=", text, re.MULTILINE), text
        assert re.search(r"^  description +=", text, re.MULTILINE), text


# --- with Terraform ---------------------------------------------------------------------------------------------------


def initialised(folder: Path) -> Path:
    """A copy of the module, ready to use; skips where there is no Terraform."""
    done = subprocess.run([CHECK, "--init", folder], capture_output=True, text=True, check=False)
    if done.returncode == NOT_TO_BE_HAD:
        pytest.skip(done.stderr.strip())
    assert done.returncode == 0, done.stderr
    return folder


def started(folder: Path, *arguments: str, environ: dict[str, str] | None = None) -> subprocess.Popen[str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("TF_", "AWS_"))}
    return subprocess.Popen(
        ["terraform", *arguments, "-no-color"],
        cwd=folder,
        env=kept | {"CHECKPOINT_DISABLE": "1", "GOGC": "400"} | (environ or {}),  # a fifth of its time collects garbage
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def ended(process: subprocess.Popen[str]) -> subprocess.CompletedProcess[str]:
    """Read what it prints, without which it would stand still once the pipes are full, until it ends."""
    stdout, stderr = process.communicate()
    return subprocess.CompletedProcess(process.args, process.returncode, stdout, stderr)


def terraform(folder: Path, *arguments: str, environ: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    return ended(started(folder, *arguments, environ=environ))


@pytest.mark.parametrize(
    ("environ", "says"),
    [
        ({"TF_PLUGIN_DIR": "/nowhere"}, "TF_PLUGIN_DIR=/nowhere has no registry.terraform.io/hashicorp/aws"),
        ({"PATH": "/usr/bin:/bin"}, "there is no terraform on the PATH"),
    ],
)
def test_without_a_provider_the_check_says_so_and_fails(tmp_path: Path, environ: dict[str, str], says: str) -> None:
    """It never passes because it could not look."""
    if shutil.which("terraform") is None or ("PATH" in environ and shutil.which("terraform", path=environ["PATH"])):
        pytest.skip("terraform is not where this can be tried")
    told = os.environ | environ
    done = subprocess.run([CHECK, "--init", tmp_path / "x"], env=told, capture_output=True, text=True, check=False)
    assert (done.returncode, says in done.stderr) == (NOT_TO_BE_HAD, True), done.stderr


# --- a real apply against the stand-in --------------------------------------------------------------------------------

LAST = date(2025, 9, 30)
FIRST = LAST - timedelta(days=4)
SENDER, RECIPIENTS = "finops@example.com", ["a@example.com", "cfo@example.com"]
INPUTS = {
    "region": StandIn.region,
    "mail": {"sender": SENDER, "recipients": RECIPIENTS},
    "alerts": {"emails": ["ops@example.com"], "daemon": True},
    "settings": {"bill.first_day": str(FIRST), "aws.quicksight_data_set": "finops-ou-breakdown"},
    "bill": {"first_month": "2025-08"},
    "quicksight": True,
    "runtime": "ecs",
    "image": f"{StandIn.account}.dkr.ecr.{StandIn.region}.amazonaws.com/finops@sha256:{'0' * 64}",
    "ui": {"reach": "tunnel"},
    "wait_until_healthy": False,
    "destroy_archive": True,
    "deletion_protection": False,
}

NOT_KNOWN = {"bcm-data-exports ListExports"}
"""What the stand-in cannot do of all this: `finops doctor` cannot ask it how exports are delivered, and says so."""


@dataclass
class Applied:
    """An account that Terraform has made ready, on the stand-in."""

    aws: StandIn
    folder: Path
    home: Path
    settings: dict[str, str] = field(default_factory=dict)
    calls: list[Call] = field(default_factory=list)

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        return started(self.folder, *arguments, environ=self.aws.environ | {"AWS_MAX_ATTEMPTS": "2"})

    def terraform(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return ended(self.start(*arguments))

    def policies(self, role: str) -> list[dict[str, Any]]:
        """A role's policies, as IAM has them."""
        iam = self.aws.client("iam")
        names = iam.list_role_policies(RoleName=role)["PolicyNames"]
        return [iam.get_role_policy(RoleName=role, PolicyName=name)["PolicyDocument"] for name in names]

    def platform(self) -> Platform:
        """The platform on what Terraform made, by its outputs and nothing else."""
        return build_platform(load_settings({}, folder=self.home))


@pytest.fixture(scope="module")
def applying(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Applied, Future]]:
    """An apply that has been started: most of it is waiting, which other tests need not do."""
    folder = initialised(tmp_path_factory.mktemp("module"))
    (folder / "terraform.tfvars.json").write_text(json.dumps(INPUTS), encoding="utf-8")
    with StandIn(tmp_path_factory.mktemp("aws")) as aws, ThreadPoolExecutor(1) as beside:
        there = Applied(aws, folder, tmp_path_factory.mktemp("home"))
        process = there.start("apply", "-auto-approve", "-input=false")
        try:
            yield there, beside.submit(ended, process)
        finally:
            process.kill()


@pytest.fixture(scope="module")
def applied(applying: tuple[Applied, Future]) -> Applied:
    there, apply = applying
    done = apply.result()
    assert done.returncode == 0, done.stderr
    assert there.aws.refused == []
    there.settings = settings_in(there.terraform("output", "-json").stdout)
    (there.home / "finops.toml").write_text(written_into("", typed(there.settings)), encoding="utf-8")
    return there


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> SampleBill:
    return write_sample_bill(tmp_path_factory.mktemp("sample") / "bill", LAST, 5)


def deliver(aws: StandIn, bill: Path) -> None:
    """Do what Data Exports does: the files of each billing period where the export says."""
    [export] = [each["export"] for each in aws.infrastructure.exports.values()]
    to = export["DestinationConfigurations"]["S3Destination"]
    [data] = [folder for folder in bill.rglob("data") if folder.is_dir()]
    files = [file for file in data.rglob("*.parquet") if file.is_file()]
    assert files
    for file in files:
        key = f"{to['S3Prefix']}/{export['Name']}/data/{file.relative_to(data).as_posix()}"
        aws.client("s3").put_object(Bucket=to["S3Bucket"], Key=key, Body=file.read_bytes())


def what_people_do(aws: StandIn, sample: SampleBill) -> None:
    """The bill is delivered, accounts and a data set are made, DNS records set, the link of the alerts followed."""
    aws.quicksight.seconds_per_step = 0.1
    aws.quicksight.add_data_set(INPUTS["settings"]["aws.quicksight_data_set"])
    deliver(aws, sample.focus)
    aws.topics.confirm(INPUTS["alerts"]["emails"][0])
    aws.mail.verify(SENDER.split("@")[1])
    for account, (name, path) in newest_memberships(sample.accounts).items():
        aws.organizations.add_account(account, name, path)


def test_a_second_apply_changes_nothing(applied: Applied) -> None:
    """What was made reads back as it was asked for."""
    done = applied.terraform("plan", "-detailed-exitcode", "-input=false")
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture(scope="module")
def worked(applied: Applied, sample: SampleBill) -> Iterator[Applied]:
    """A day, a backfill, and the rest of what the platform ever asks of AWS, by the outputs' settings alone."""
    aws = applied.aws
    what_people_do(aws, sample)
    with pytest.MonkeyPatch.context() as environment:
        for name, value in aws.environ.items():
            environment.setenv(name, value)
        environment.chdir(applied.home)
        aws.calls.reset()

        def morning() -> datetime:
            return datetime.combine(LAST + timedelta(days=1), time(7), UTC)

        assert run_days(applied.platform(), LAST, LAST, clock=morning).errors == ()
        assert run_days(applied.platform(), FIRST, LAST - timedelta(days=1), clock=morning).errors == ()
        platform = applied.platform()
        platform.outbox.resend(LAST, [RECIPIENTS[0]])
        assert platform.archive.versions(LAST)
        platform.alerts.send("A subject", "A text")
        platform.metrics.emit({"RunFailed": 1})
        findings = list(platform.preflight.check())
        assert [finding for finding in findings if finding.state == "fail"] == []
        applied.calls = list(aws.calls.log)
        yield applied


def test_the_platform_runs_a_day_and_a_backfill_on_it(worked: Applied) -> None:
    """Configured by the outputs alone: days in the bucket and in the tables that Terraform made, refreshes, mail."""
    aws = worked.aws
    assert list(worked.platform().catalog.registered()) == [FIRST + timedelta(days=i) for i in range(5)]
    assert {address for mail in aws.mail.sent for address in mail.recipients} == set(RECIPIENTS)
    assert {mail.configuration_set for mail in aws.mail.sent} == {"finops"}
    assert {ingestion.status for ingestion in aws.quicksight.ingestions} == {"COMPLETED"}
    made = {call.operation for call in worked.calls if call.service == "glue" and call.operation.startswith("Create")}
    assert made == set(), "the tables were there, and as agreed"
    assert set(aws.refused) <= NOT_KNOWN


def on_our_behalf(bucket: str, bill_bucket: str) -> list[Request]:
    """What Athena asks with the caller's rights while a query runs; the stand-in does it within its process."""
    glue = "arn:aws:glue:us-east-1:123456789012"
    objects = [
        Request(
            "s3:GetObject", f"arn:aws:s3:::{bill_bucket}/exports/finops-focus/data/BILLING_PERIOD=2025-09/a.parquet"
        ),
        Request("s3:ListBucket", f"arn:aws:s3:::{bill_bucket}"),
        Request("s3:GetBucketLocation", f"arn:aws:s3:::{bill_bucket}"),
        Request("s3:GetBucketLocation", f"arn:aws:s3:::{bucket}"),
        Request("s3:ListBucketMultipartUploads", f"arn:aws:s3:::{bucket}"),
    ]
    for action in ("PutObject", "GetObject", "AbortMultipartUpload", "ListMultipartUploadParts"):
        objects += [
            Request(f"s3:{action}", f"arn:aws:s3:::{bucket}/{place}/x") for place in ("athena-results", "_staging")
        ]
    tables = []
    for table in ("finops_bill/focus", "finops_db/ou_breakdown"):
        things = (f"{glue}:catalog", f"{glue}:database/{table.split('/')[0]}", f"{glue}:table/{table}")
        for action in ("GetDatabase", "GetTable", "GetPartition", "GetPartitions", "BatchGetPartition"):
            tables += [Request(f"glue:{action}", thing) for thing in things]
    default = [
        Request(f"glue:{action}", f"{glue}:{thing}")
        for action in ("GetDatabase", "CreateDatabase")
        for thing in ("catalog", "database/default")
    ]
    default.append(Request("lakeformation:GetDataAccess", "*"))
    view = [f"{glue}:catalog", f"{glue}:database/finops_db", f"{glue}:table/finops_db/finops_daily_summary"]
    tables += [Request(f"glue:{action}", thing) for action in ("CreateTable", "UpdateTable") for thing in view]
    return [*objects, *tables, *default]


def test_every_call_that_was_made_is_allowed(worked: Applied) -> None:
    """The roles' policies, as IAM has them, against every call of those runs, and what Athena does in their name."""
    calls = worked.calls
    assert {call.service for call in calls} >= {
        "s3",
        "glue",
        "athena",
        "sesv2",
        "sns",
        "cloudwatch",
        "organizations",
        "sts",
    }
    roles = {"task": worked.policies("finops-task"), "reader": worked.policies("finops-reads-organization")}
    refused = set()
    for call in calls:
        policies = roles["reader" if call.service == "organizations" else "task"]
        asked = requests_of(call, StandIn.account, "finops")
        refused |= {str(request) for request in asked if not allowed(request, policies)}
    bill = f"finops-bill-{StandIn.account}"
    behalf = on_our_behalf(worked.settings["aws.bucket"], bill)
    refused |= {str(request) for request in behalf if not allowed(request, roles["task"])}
    assert refused == set()


def test_no_action_is_granted_for_nothing(worked: Applied) -> None:
    """Each action of the task's policy was called, is named by an adapter for what did not happen, or is Athena's."""
    text = "".join(file.read_text(encoding="utf-8") for file in (ROOT / "finops_assets/adapters/aws").rglob("*.py"))
    named = set(
        re.findall(r"\b(?:athena|bcm-data-exports|glue|lakeformation|quicksight|s3|ses|sns):[A-Z][A-Za-z]+\b", text)
    )
    named |= {f"glue:Batch{verb}Partition" for verb in ("Create", "Update", "Delete")}
    named |= {f"quicksight:{name.title().replace('_', '')}" for name in re.findall(r'_call\("(\w+)"', text)}
    asked = {request.action for call in worked.calls for request in requests_of(call, StandIn.account, "finops")}
    behalf = {request.action for request in on_our_behalf("archive", "bill")}
    granted = {
        action for policy in worked.policies("finops-task") for each in policy["Statement"] for action in _actions(each)
    }
    assert granted - asked - named - behalf == {"ses:SendEmail"}, "SES names it beside SendRawEmail"


def test_each_role_s_policies_fit(worked: Applied) -> None:
    """IAM takes 10,240 characters of inline policies a role, white space aside: a fake takes any."""
    for role in worked.aws.client("iam").list_roles()["Roles"]:
        written = [json.dumps(policy, separators=(",", ":")) for policy in worked.policies(role["RoleName"])]
        assert sum(map(len, written)) < 9_000, role["RoleName"]


def _actions(statement: dict[str, Any]) -> list[str]:
    return statement["Action"] if isinstance(statement["Action"], list) else [statement["Action"]]


S3, GLUE = "arn:aws:s3:::finops-daily-summaries-123456789012", "arn:aws:glue:us-east-1:123456789012"
FORBIDDEN = [
    Request("s3:DeleteObject", f"{S3}/ou-breakdowns/year=2025/month=09/day=30/ou_breakdown.parquet"),
    Request("s3:DeleteObject", f"{S3}/evidence/bundles/2025-09/evidence-2025-09-v1.zip"),
    Request("s3:DeleteObject", f"{S3}/organization/accounts.csv"),
    Request("s3:DeleteObjectVersion", f"{S3}/digests/2025-09-30/digest.eml"),
    Request("s3:GetObjectVersion", f"{S3}/digests/2025-09-30/digest.eml"),
    Request("s3:PutBucketPolicy", S3),
    Request("s3:PutBucketVersioning", S3),
    Request("s3:PutLifecycleConfiguration", S3),
    Request("s3:DeleteBucket", S3),
    Request("s3:GetObject", "arn:aws:s3:::somebody-elses-bucket/secret"),
    Request("s3:PutObject", "arn:aws:s3:::finops-bill-123456789012/exports/finops-focus/data/forged.parquet"),
    Request("s3:DeleteObject", "arn:aws:s3:::finops-bill-123456789012/exports/finops-focus/data/a.parquet"),
    Request("s3:ListAllMyBuckets", "*"),
    Request("glue:DeleteTable", f"{GLUE}:table/finops_db/ou_breakdown"),
    Request("glue:DeleteDatabase", f"{GLUE}:database/finops_db"),
    Request("glue:UpdateTable", f"{GLUE}:table/finops_bill/focus"),
    Request("glue:BatchCreatePartition", f"{GLUE}:table/finops_bill/focus"),
    Request("glue:GetTable", f"{GLUE}:table/hr/salaries"),
    Request("athena:StartQueryExecution", "arn:aws:athena:us-east-1:123456789012:workgroup/primary"),
    Request("athena:UpdateWorkGroup", "arn:aws:athena:us-east-1:123456789012:workgroup/finops"),
    Request(
        "ses:SendRawEmail",
        "arn:aws:ses:us-east-1:123456789012:identity/example.com",
        {"ses:FromAddress": "ceo@example.com"},
    ),
    Request("ses:SendRawEmail", "arn:aws:ses:us-east-1:123456789012:identity/example.com"),
    Request("ses:DeleteSuppressedDestination", "*"),
    Request("ses:DeleteEmailIdentity", "arn:aws:ses:us-east-1:123456789012:identity/example.com"),
    Request("sns:Publish", "arn:aws:sns:us-east-1:123456789012:another"),
    Request("sns:Subscribe", "arn:aws:sns:us-east-1:123456789012:finops-alerts"),
    Request("cloudwatch:PutMetricData", "*", {"cloudwatch:namespace": "AWS/Billing"}),
    Request("cloudwatch:DeleteAlarms", "arn:aws:cloudwatch:us-east-1:123456789012:alarm:finops-no-digest"),
    Request("sts:AssumeRole", "arn:aws:iam::123456789012:role/admin"),
    Request("organizations:ListAccountsForParent", "*"),
    Request("quicksight:CreateIngestion", "arn:aws:quicksight:us-east-1:123456789012:dataset/salaries/ingestion/x"),
    Request("quicksight:DeleteDataSet", "arn:aws:quicksight:us-east-1:123456789012:dataset/x"),
    Request("bcm-data-exports:DeleteExport", "*"),
    Request("iam:PassRole", "arn:aws:iam::123456789012:role/admin"),
    Request("iam:CreateAccessKey", "arn:aws:iam::123456789012:user/admin"),
    Request("kms:Decrypt", "arn:aws:kms:us-east-1:123456789012:key/x"),
    Request("secretsmanager:GetSecretValue", "arn:aws:secretsmanager:us-east-1:123456789012:secret:x"),
]
"""What the task must never be able to do."""


def test_what_must_not_be_done_is_refused(worked: Applied) -> None:
    """The task deletes no day, writes no bill, sends as nobody else, and becomes nobody else."""
    policies = worked.policies("finops-task")
    assert policies
    assert [str(request) for request in FORBIDDEN if allowed(request, policies)] == []


def test_the_organization_s_role_only_reads_the_tree(worked: Applied) -> None:
    """In the management account there is nothing that it could change."""
    policies = worked.policies("finops-reads-organization")
    for action in ("MoveAccount", "CloseAccount", "CreateAccount", "DetachPolicy", "ListPolicies"):
        assert not allowed(Request(f"organizations:{action}", "*"), policies)
    trust = worked.aws.client("iam").get_role(RoleName="finops-reads-organization")["Role"]["AssumeRolePolicyDocument"]
    assert [each["Principal"] for each in trust["Statement"]] == [
        {"AWS": f"arn:aws:iam::{StandIn.account}:role/finops-task"}
    ]


def test_quicksight_s_role_reads_the_tables_only(worked: Applied) -> None:
    """Days are read through Athena; digests and evidence are none of a dashboard's business."""
    policies = worked.policies("finops-quicksight")
    day = f"{S3}/ou-breakdowns/year=2025/month=09/day=30/ou_breakdown.parquet"
    assert allowed(Request("s3:GetObject", day), policies)
    assert allowed(Request("s3:PutObject", f"{S3}/athena-results/x.csv"), policies)
    assert not allowed(Request("s3:PutObject", day), policies)
    for path in ("digests/2025-09-30/digest.eml", "evidence/bundles/x.zip", "organization/accounts.csv"):
        assert not allowed(Request("s3:GetObject", f"{S3}/{path}"), policies)


def test_destroy_leaves_nothing(applied: Applied) -> None:
    """With destroy_archive, all that was made is gone, the archive with what is in it."""
    # That everything reads back as it is known is the second apply's test: reading it once more takes as long again.
    done = applied.terraform("destroy", "-auto-approve", "-input=false", "-refresh=false")
    assert done.returncode == 0, done.stderr
    client = applied.aws.client
    assert client("s3").list_buckets()["Buckets"] == []
    assert client("glue").get_databases()["DatabaseList"] == []
    assert [group["Name"] for group in client("athena").list_work_groups()["WorkGroups"]] == ["primary"]
    assert client("iam").list_roles()["Roles"] == []
    assert client("sns").list_topics()["Topics"] == []
    assert client("cloudwatch").describe_alarms()["MetricAlarms"] == []
    assert client("rds").describe_db_instances()["DBInstances"] == []
    assert client("secretsmanager").list_secrets()["SecretList"] == []
    clusters = client("ecs").list_clusters()["clusterArns"]  # which ECS remembers as inactive
    assert {each["status"] for each in client("ecs").describe_clusters(clusters=clusters)["clusters"]} == {"INACTIVE"}
    assert client("ecr").describe_repositories()["repositories"] == []
    assert client("logs").describe_log_groups()["logGroups"] == []
    assert [vpc["VpcId"] for vpc in client("ec2").describe_vpcs()["Vpcs"] if not vpc["IsDefault"]] == []
    assert client("events").list_rules()["Rules"] == []
    assert (applied.aws.mail.configuration_sets, applied.aws.infrastructure.exports) == ({}, {})
    assert set(applied.aws.refused) <= NOT_KNOWN
    shutil.rmtree(applied.folder)

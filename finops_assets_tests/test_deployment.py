"""The way to AWS as it is written down: deploy/dagster.yaml, and the commands, settings and policy of docs/aws.md."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore import xform_name
from botocore.validate import ParamValidator
from dagster import DagsterInstance
from dagster._core.instance.ref import InstanceRef
from dagster._core.run_coordinator import QueuedRunCoordinator
from dagster_aws.ecs import EcsRunLauncher
from dagster_aws.s3.compute_log_manager import S3ComputeLogManager

from finops_assets.platform import build_platform
from finops_assets.run import run_days
from finops_assets.sample_bill import write_sample_bill
from finops_assets.settings import load_settings
from finops_assets_tests.aws import StandIn
from finops_assets_tests.on_aws import BUCKET, RECIPIENTS, make_ready, platform_on

ROOT = Path(__file__).parents[1]
INSTANCE, PAGE, ADAPTERS = (
    ROOT / "deploy" / "dagster.yaml",
    ROOT / "docs" / "aws.md",
    ROOT / "finops_assets/adapters/aws",
)

# --- deploy/dagster.yaml ------------------------------------------------------------------------------------------


@pytest.fixture
def aws(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[StandIn]:
    with StandIn(tmp_path / "aws") as stand_in:
        for name, value in (stand_in.environ | {"FINOPS_AWS__BUCKET": BUCKET}).items():
            monkeypatch.setenv(name, value)
        yield stand_in


@pytest.fixture
def dagster_home(tmp_path: Path) -> Path:
    """A folder with the deployment's dagster.yaml, as a task has it."""
    home = tmp_path / "dagster"
    home.mkdir()
    (home / "dagster.yaml").write_text(INSTANCE.read_text(encoding="utf-8"), encoding="utf-8")
    return home


def test_the_instance_is_accepted_and_asks_nothing_of_aws(aws: StandIn, dagster_home: Path) -> None:
    """Every line is one that this Dagster knows; the classes that it names take their config without a call."""
    with DagsterInstance.from_ref(InstanceRef.from_dir(str(dagster_home))) as instance:
        assert isinstance(instance.compute_log_manager, S3ComputeLogManager)
        launcher = instance.run_launcher
        assert isinstance(launcher, EcsRunLauncher)
        assert dict(launcher.run_resources) == {"cpu": "1024", "memory": "4096"}
        assert launcher.supports_check_run_worker_health, "run monitoring would never notice a lost task"
        assert isinstance(instance.run_coordinator, QueuedRunCoordinator)
        assert instance.get_concurrency_config().run_queue_config.max_concurrent_runs == 1
        assert instance.run_monitoring_enabled
        assert instance.run_retries_enabled
        assert not instance.run_retries_retry_on_asset_or_op_failure, "what people must mend is not tried again"
        assert not instance.telemetry_enabled
    assert aws.calls.counts() == {}


def test_without_its_bucket_the_variable_is_named(
    aws: StandIn, dagster_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is missing in the environment is said, and not found out by logs that are nowhere."""
    monkeypatch.delenv("FINOPS_AWS__BUCKET")
    with (
        DagsterInstance.from_ref(InstanceRef.from_dir(str(dagster_home))) as instance,
        pytest.raises(Exception, match="FINOPS_AWS__BUCKET"),
    ):
        _ = instance.compute_log_manager


def test_the_database_only_has_to_be_uncommented(dagster_home: Path) -> None:
    """The block that is a comment, as it takes a package more, is one that this Dagster accepts."""
    file = dagster_home / "dagster.yaml"
    text, found = re.subn(r"(?m)^# (storage:|  +\S.*)$", r"\1", file.read_text(encoding="utf-8"))
    assert found == 4
    file.write_text(text, encoding="utf-8")
    storage = InstanceRef.from_dir(str(dagster_home)).storage_data
    assert (storage.module_name, storage.class_name) == ("dagster_postgres", "DagsterPostgresStorage")
    assert "DAGSTER_POSTGRES_URL" in storage.config_yaml


SAYS_HELLO = """
import dagster as dg

@dg.op
def hello():
    print("hello from the step")

@dg.job
def greeting():
    hello()

if __name__ == "__main__":
    with dg.DagsterInstance.get() as instance:
        assert greeting.execute_in_process(instance=instance).success
"""


def test_what_a_run_prints_is_in_the_bucket(aws: StandIn, dagster_home: Path, tmp_path: Path) -> None:
    """A real run in a process of its own leaves its output below dagster-logs/, and no empty object."""
    aws.client("s3").create_bucket(Bucket=BUCKET)
    script = tmp_path / "hello.py"
    script.write_text(SAYS_HELLO)
    environ = {**os.environ, "DAGSTER_HOME": str(dagster_home), "TMPDIR": str(tmp_path)}
    done = subprocess.run([sys.executable, str(script)], env=environ, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found = aws.client("s3").list_objects_v2(Bucket=BUCKET)["Contents"]
    assert all(each["Key"].startswith("dagster-logs/storage/") and each["Size"] for each in found)
    printed = [each["Key"] for each in found if each["Key"].endswith(".out")]
    assert len(printed) == 1
    assert aws.client("s3").get_object(Bucket=BUCKET, Key=printed[0])["Body"].read() == b"hello from the step\n"


# --- docs/aws.md: its commands --------------------------------------------------------------------------------------

GLOBAL_OPTIONS = {"region", "query", "output", "profile"}
CLI_NAME = {"notification-endpoint": "Endpoint"}
"""Where the command line has another name than the API: `--endpoint-url` begins like this one's own."""


def shell_blocks() -> list[str]:
    return re.findall(r"^```sh\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)


def variables() -> dict[str, str]:
    """What the page tells to export."""
    exports = re.findall(r"^export (.+)$", "\n".join(shell_blocks()), re.MULTILINE)
    return dict(pair.split("=", 1) for line in exports for pair in line.split())


def expanded(text: str) -> str:
    """Variables replaced as a shell does; one that the page does not set is a KeyError."""
    known = variables()
    return re.sub(r"(?<!\\)\$\{?([A-Z_]+)\}?", lambda found: known[found[1]], text).replace("\\$", "$")


def documents() -> dict[str, str]:
    """The files that the page writes with `cat > name <<EOF`, expanded."""
    found = re.findall(r"^cat > (\S+) <<EOF\n(.*?)^EOF$", "\n".join(shell_blocks()), re.MULTILINE | re.DOTALL)
    return {name: expanded(text) for name, text in found}


def aws_commands() -> list[str]:
    joined = "\n".join(shell_blocks()).replace("\\\n", " ")
    return [expanded(line) for line in joined.splitlines() if line.startswith("aws ")]


def arguments(words: list[str]) -> dict[str, str | bool]:
    found: dict[str, Any] = {}
    name = ""
    for word in words:
        if word.startswith("--"):
            name = word[2:]
            found[name] = True
        else:
            assert found[name] is True, f"two values for --{name}"
            found[name] = word
    return found


@pytest.mark.parametrize("command", aws_commands(), ids=lambda command: " ".join(command.split()[1:3]))
def test_the_aws_commands_are_ones_that_aws_takes(command: str) -> None:
    """Service, operation and parameters of each command exist, none that is required lacks, and values fit."""
    _, service, operation, *words = shlex.split(command, comments=True)
    client = boto3.client({"s3api": "s3"}.get(service, service), region_name="us-east-1")
    names = {xform_name(name, "-"): name for name in client.meta.service_model.operation_names}
    shape = client.meta.service_model.operation_model(names[operation]).input_shape
    members = {xform_name(name, "-"): name for name in shape.members}
    request = {}
    for option, told in arguments(words).items():
        if option not in GLOBAL_OPTIONS:
            name = CLI_NAME.get(option) or members[option]
            request[name] = value_of(told, shape.members[name], service)
    problems = ParamValidator().validate(request, shape)
    assert not problems.has_errors(), problems.generate_report()


def value_of(told: str | bool, shape: Any, service: str) -> Any:
    """The value as the command line would send it."""
    if isinstance(told, bool) or shape.type_name == "boolean":
        return told is True or told == "true"
    if told.startswith("file://"):
        file = told.removeprefix("file://")
        told = documents()[file]
        if file.endswith(".json"):
            json.loads(told)
    if shape.type_name == "string":
        assert not getattr(shape, "enum", None) or told in shape.enum, told
        return told
    if shape.type_name in ("integer", "long"):
        return int(told)
    if shape.type_name in ("double", "float"):
        return float(told)
    if shape.type_name == "list":
        return [told]
    if told.lstrip().startswith("{"):
        return json.loads(told)
    pairs = dict(pair.split("=", 1) for pair in told.split(","))
    return {name: {"true": True, "false": False}.get(value, value) for name, value in pairs.items()}


def test_every_file_that_a_command_takes_is_written_on_the_page() -> None:
    """No command names a file that the reader does not have."""
    named = {name for command in aws_commands() for name in re.findall(r"file://(\S+)", command)}
    assert named == set(documents())


def test_the_settings_on_the_page_build_a_platform(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each block of settings loads; the first is enough for a platform on AWS."""
    monkeypatch.chdir(tmp_path)
    for key in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(key, "of-nobody")
    blocks = re.findall(r"^```toml\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    assert len(blocks) == 2
    for block in blocks:
        tomllib.loads(block)
        (tmp_path / "finops.toml").write_text(block, encoding="utf-8")
        settings = load_settings({}, folder=tmp_path)
        if block is blocks[0]:
            build_platform(settings)
            known = variables()
            assert (settings.aws.bucket, settings.mail.sender) == (known["BUCKET"], known["SENDER"])
            assert known["PAYER"] in settings.aws.organizations_role_arn


def test_the_table_of_the_bill_has_the_columns_of_the_export() -> None:
    """CREATE TABLE and the export name the same columns, and they are all that FOCUS needs."""
    from finops_assets.core import bill

    query = json.loads(documents()["export.json"])["DataQuery"]["QueryStatement"]
    exported = [name.lower() for name in re.search("SELECT (.*) FROM", query)[1].split(", ")]
    inside = re.search(r"\((.*?)\)\nPARTITIONED", documents()["table.sql"], re.DOTALL)[1]
    columns = dict(pair.split() for pair in inside.split(","))
    assert list(columns) == exported
    types = {"double": "DOUBLE", "string": "VARCHAR", "timestamp": "TIMESTAMP"}
    sql_types = {name: types[type_] for name, type_ in columns.items()}
    for basis in ("billed", "effective"):
        rules = bill.Rules(basis)
        bill.check_columns(bill.recognise(sql_types, "billing.focus"), sql_types, rules, "billing.focus")
        unused = set(columns) - set(bill.used_columns(bill.FOCUS, sql_types, rules)) - {"billedcost", "effectivecost"}
        assert not unused


# --- docs/aws.md: its policy ----------------------------------------------------------------------------------------

IAM_SERVICE = {"sesv2": "ses"}
IAM_ACTION = {
    "s3:ListObjectsV2": "s3:ListBucket",
    "s3:ListObjectVersions": "s3:ListBucketVersions",
    "s3:HeadBucket": "s3:ListBucket",
    "s3:HeadObject": "s3:GetObject",
    "s3:DeleteObjects": "s3:DeleteObject",
    "s3:GetPublicAccessBlock": "s3:GetBucketPublicAccessBlock",
    "ses:SendEmail": "ses:SendRawEmail",  # what SES checks for raw content
}
"""Where the permission has another name than the operation (Service Authorization Reference)."""

FREE = {"sts:GetCallerIdentity"}
"""What needs no permission."""

ON_OUR_BEHALF = {
    **dict.fromkeys(
        (
            *("s3:GetBucketLocation", "s3:ListBucketMultipartUploads", "s3:ListMultipartUploadParts"),
            *("s3:AbortMultipartUpload", "glue:GetDatabase", "glue:GetPartition", "glue:BatchGetPartition"),
        ),
        "Athena reads, and unloads, with the caller's rights",
    ),
    "glue:UpdateTable": "CREATE OR REPLACE VIEW of a view that is there",
    "sts:AssumeRole": "the organization's role",
    "ses:SendEmail": "named in SES's own examples beside SendRawEmail",
}
"""Actions in the policy that no call of ours has the name of, with the reason."""


def allowed(name: str) -> set[str]:
    statements = json.loads(documents()[name])["Statement"]
    actions = [each["Action"] for each in statements if each["Effect"] == "Allow"]
    return {action for each in actions for action in ([each] if isinstance(each, str) else each)}


def named_in_the_adapters() -> set[str]:
    """`glue:GetTables` and the like, wherever the adapters say which action they are about to use."""
    text = "".join(file.read_text(encoding="utf-8") for file in ADAPTERS.glob("*.py"))
    services = "athena|bcm-data-exports|cloudwatch|glue|organizations|quicksight|s3|ses|sns|sts"
    return set(re.findall(rf"\b(?:{services}):[A-Z][A-Za-z]+\b(?!\{{)", text))


def test_the_policy_allows_every_call_and_nothing_more(aws: StandIn, tmp_path: Path) -> None:
    """A day, its versions, a repair of its table, a resend and doctor: each call is allowed, and no action is idle."""
    last = date(2025, 9, 30)
    sample = write_sample_bill(tmp_path / "bill", last, 3)
    make_ready(aws, sample.focus, accounts=sample.accounts)
    topic = aws.client("sns").create_topic(Name="finops-alerts")["TopicArn"]
    aws.client("sesv2").create_configuration_set(ConfigurationSetName="digests")
    platform = platform_on(
        aws, tmp_path, aws__sns_topic_arn=topic, aws__ses_configuration_set="digests", bill__first_day="2025-09-01"
    )
    aws.calls.reset()
    assert run_days(platform, last, last, clock=lambda: datetime(2025, 10, 1, 7, tzinfo=UTC)).errors == ()
    platform.outbox.resend(last, [RECIPIENTS[0]])
    platform.dashboard.begin("other-work")()
    assert [version.metadata["rows"] for version in platform.archive.versions(last)]
    assert list(platform.preflight.check())
    made = {f"{IAM_SERVICE.get(service, service)}:{operation}" for service, operation in aws.calls.counts()}

    needed = {IAM_ACTION.get(action, action) for action in made | named_in_the_adapters()} - FREE
    granted = allowed("policy.json") | allowed("organization-policy.json")
    assert needed - granted == set(), "called, and not allowed"
    assert granted - needed - set(ON_OUR_BEHALF) == set(), "allowed, and not called"


def test_the_policy_is_about_named_things() -> None:
    """Only what AWS gives no resource for is allowed on all of them, and no action has a wildcard."""
    for name in ("policy.json", "organization-policy.json"):
        assert not [action for action in allowed(name) if "*" in action]
        for statement in json.loads(documents()[name])["Statement"]:
            on_everything = statement["Resource"] == "*" and "Condition" not in statement
            assert not on_everything or statement.get("Sid", "Organization") in ("DoctorLooks", "Organization")

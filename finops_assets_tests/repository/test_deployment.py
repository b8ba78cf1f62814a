"""The way to AWS as it is written down: deploy/, the Dockerfile, and docs/aws.md with its commands and policy."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Iterator
from datetime import UTC, date, datetime
from fnmatch import fnmatch
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib import metadata
from pathlib import Path
from runpy import run_path
from threading import Thread
from typing import Any

import boto3
import dagster as dg
import pytest
import yaml
from botocore import xform_name
from botocore.validate import ParamValidator
from dagster import DagsterInstance
from dagster._core.code_pointer import ModuleCodePointer
from dagster._core.instance.ref import InstanceRef
from dagster._core.launcher import LaunchRunContext, WorkerStatus
from dagster._core.origin import JobPythonOrigin, RepositoryPythonOrigin
from dagster._core.run_coordinator import QueuedRunCoordinator
from dagster._grpc.types import ExecuteRunArgs
from dagster_aws.s3.compute_log_manager import S3ComputeLogManager
from packaging.markers import Marker
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from finops_assets.defs.ecs_launcher import WatchedEcsRunLauncher
from finops_assets.defs.launcher import WatchedRunLauncher, run_lock
from finops_assets.defs.run import run_days
from finops_assets.platform import build_platform
from finops_assets.settings.load import load_settings
from finops_assets.stories.sample_bill import write_sample_bill
from finops_assets_tests.support.on_aws import BUCKET, RECIPIENTS, make_ready, platform_on
from standin.server import StandIn

ROOT = Path(__file__).parents[2]
DEPLOY, DOCKERFILE, REQUIREMENTS = ROOT / "deploy", ROOT / "Dockerfile", ROOT / "requirements"
INSTANCE, INSTANCE_SET = DEPLOY / "dagster.yaml", ROOT / "terraform" / "runtime.tf"
PAGE, ADAPTERS = ROOT / "docs" / "aws.md", ROOT / "finops_assets/adapters/aws"

# --- deploy/: Dagster's instance --------------------------------------------------------------------------------------


@pytest.fixture
def aws(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[StandIn]:
    with StandIn(tmp_path / "aws") as stand_in:
        for name, value in (stand_in.environ | {"FINOPS_AWS__BUCKET": BUCKET, "TMPDIR": str(tmp_path)}).items():
            monkeypatch.setenv(name, value)
        yield stand_in


@pytest.fixture
def dagster_home(tmp_path: Path) -> Path:
    """A folder with the deployment's dagster.yaml, as a task has it."""
    home = tmp_path / "dagster"
    home.mkdir()
    (home / "dagster.yaml").write_text(INSTANCE.read_text(encoding="utf-8"), encoding="utf-8")
    return home


@pytest.fixture
def without_database(dagster_home: Path) -> Path:
    """The same with SQLite for storage; test_rehearsal.py has the database."""
    file = dagster_home / "dagster.yaml"
    config = yaml.safe_load(file.read_text(encoding="utf-8"))
    assert config.pop("storage")
    file.write_text(yaml.safe_dump(config), encoding="utf-8")
    return dagster_home


@pytest.fixture
def as_the_daemon(aws: StandIn, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """In a task of the cluster, as terraform/ makes it; gives the definition that runs have."""
    ecs = aws.client("ecs")
    cluster = ecs.create_cluster(clusterName="finops")["cluster"]["clusterArn"]
    definition = {
        name: ecs.register_task_definition(
            family=f"finops-{name}",
            containerDefinitions=[{"name": name, "image": "image", "memory": 1024}],
            networkMode="awsvpc",
            requiresCompatibilities=["FARGATE"],
            cpu="1024",
            memory="4096",
        )["taskDefinition"]["taskDefinitionArn"]
        for name in ("daemon", "run")
    }
    ec2 = aws.client("ec2")
    subnet = ec2.describe_subnets()["Subnets"][0]
    group = ec2.create_security_group(GroupName="daemon", Description="daemon", VpcId=subnet["VpcId"])["GroupId"]
    network = {"subnets": [subnet["SubnetId"]], "securityGroups": [group]}
    [task] = ecs.run_task(
        cluster=cluster,
        taskDefinition=definition["daemon"],
        launchType="FARGATE",
        networkConfiguration={"awsvpcConfiguration": network},
    )["tasks"]

    class Metadata(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = json.dumps({"Cluster": cluster, "TaskARN": task["taskArn"]} if "task" in self.path else {}).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            """Nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Metadata)
    Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    monkeypatch.setenv("ECS_CONTAINER_METADATA_URI_V4", f"http://127.0.0.1:{server.server_address[1]}/v4/daemon")
    monkeypatch.setenv("DAGSTER_RUN_TASK_DEFINITION", definition["run"])
    aws.calls.reset()
    yield definition["run"]
    server.shutdown()
    server.server_close()


def test_the_instance_is_accepted(without_database: Path, as_the_daemon: str, aws: StandIn) -> None:
    """Every line is one that this Dagster knows; a run's size, roles and environment are its task definition's."""
    with DagsterInstance.from_ref(InstanceRef.from_dir(str(without_database))) as instance:
        assert isinstance(instance.compute_log_manager, S3ComputeLogManager)
        assert isinstance(instance.run_coordinator, QueuedRunCoordinator)
        assert instance.get_concurrency_config().run_queue_config.max_concurrent_runs == 1
        assert instance.run_monitoring_enabled
        assert instance.run_retries_enabled
        assert not instance.run_retries_retry_on_asset_or_op_failure, "what people must mend is not tried again"
        assert not instance.telemetry_enabled
        assert aws.calls.counts() == {}
        launcher = instance.run_launcher
        assert isinstance(launcher, WatchedEcsRunLauncher)
        assert launcher.task_definition == as_the_daemon
        assert not launcher.run_resources
        assert launcher.supports_check_run_worker_health, "run monitoring would never notice a lost task"


def test_the_storage_is_a_database_whose_password_is_in_no_file(dagster_home: Path) -> None:
    """PostgreSQL, with everything from the environment: what is handed to a run names variables, no values."""
    storage = InstanceRef.from_dir(str(dagster_home)).storage_data
    assert (storage.module_name, storage.class_name) == ("dagster_postgres", "DagsterPostgresStorage")
    database = yaml.safe_load(storage.config_yaml)["postgres_db"]
    assert database.pop("scheme") == "postgresql+psycopg2"
    assert database == {
        "hostname": {"env": "DAGSTER_POSTGRES_HOST"},
        "port": {"env": "DAGSTER_POSTGRES_PORT"},
        "username": {"env": "DAGSTER_POSTGRES_USER"},
        "password": {"env": "DAGSTER_POSTGRES_PASSWORD"},
        "db_name": {"env": "DAGSTER_POSTGRES_DB"},
    }


def test_only_the_launcher_differs_where_all_is_one_task() -> None:
    """deploy/single.yaml changes one block, to the launcher that the rehearsal and `finops dev` use."""
    import_overlay = run_path(str(DEPLOY / "overlay.py"))["laid_over"]
    base = INSTANCE.read_text(encoding="utf-8")
    made = yaml.safe_load(import_overlay(base, (DEPLOY / "single.yaml").read_text(encoding="utf-8")))
    differs = {name for name, block in yaml.safe_load(base).items() if made[name] != block}
    assert differs == {"run_launcher"}
    assert (made["run_launcher"]["module"], made["run_launcher"]["class"]) == (
        WatchedRunLauncher.__module__,
        WatchedRunLauncher.__name__,
    )
    with pytest.raises(ValueError, match="run_luncher"):
        import_overlay(base, "run_luncher: {}")


@dg.job
def a_job() -> None:
    """Do nothing."""


def test_a_run_is_a_task_with_the_daemons_rights(without_database: Path, as_the_daemon: str, aws: StandIn) -> None:
    """Launched, watched and ended with the calls that its role in terraform/ allows, all of which are needed."""
    with DagsterInstance.from_ref(InstanceRef.from_dir(str(without_database))) as instance:
        run = instance.create_run_for_job(a_job, job_code_origin=a_job_origin(), status=dg.DagsterRunStatus.STARTING)
        launcher = instance.run_launcher
        launcher.launch_run(LaunchRunContext(run, workspace=None))
        run = instance.get_run_by_id(run.run_id)
        ecs, task = aws.client("ecs"), run.tags["ecs/task_arn"]
        [started] = ecs.describe_tasks(cluster="finops", tasks=[task])["tasks"]
        assert started["taskDefinitionArn"] == as_the_daemon
        [override] = started["overrides"]["containerOverrides"]
        assert override["name"] == "run"
        assert override["command"][:3] == ["dagster", "api", "execute_run"]
        assert launcher.check_run_worker_health(run).status is not WorkerStatus.UNKNOWN
        assert launcher.terminate(run.run_id)
    made = {f"{service}:{operation}" for service, operation in aws.calls.counts()}
    # Tags are part of RunTask, and the roles are handed on in it; the last log lines are read of a task that failed.
    needed = made | {"ecs:TagResource", "iam:PassRole", "logs:GetLogEvents"}
    assert needed == granted("runs") | granted("daemon")
    assert {"ecs:DescribeTaskDefinition", "ecs:DescribeTasks", "ecs:StopTask"} == granted("runs"), "the webserver's"
    assert granted("webserver") == {"s3:GetObject", "s3:ListBucket", "kms:Decrypt"}


def test_a_run_of_a_shell_is_not_taken_for_a_lost_task(
    without_database: Path, as_the_daemon: str, aws: StandIn
) -> None:
    """`finops run` in a container's shell has no task: run monitoring leaves it alone. One whose task is gone fails."""
    with DagsterInstance.from_ref(InstanceRef.from_dir(str(without_database))) as instance:
        launcher = instance.run_launcher
        of_a_shell = instance.create_run_for_job(a_job, status=dg.DagsterRunStatus.STARTED)
        assert launcher.check_run_worker_health(of_a_shell).status is WorkerStatus.RUNNING
        assert aws.calls.counts() == {("ecs", "DescribeTaskDefinition"): 1}, "which the launcher asks when it is made"
        gone = {"ecs/task_arn": "arn:aws:ecs:eu-central-1:123456789012:task/finops/gone", "ecs/cluster": "finops"}
        lost = instance.create_run_for_job(a_job, status=dg.DagsterRunStatus.STARTED, tags=gone)
        assert launcher.check_run_worker_health(lost).status is WorkerStatus.UNKNOWN


def test_a_run_of_a_shell_asks_ecs_nothing(
    without_database: Path, monkeypatch: pytest.MonkeyPatch, aws: StandIn
) -> None:
    """The code server's container has no right to see task definitions, and not the name of the runs' own."""
    monkeypatch.delenv("DAGSTER_RUN_TASK_DEFINITION", raising=False)
    with (
        DagsterInstance.from_ref(InstanceRef.from_dir(str(without_database))) as instance,
        run_lock(instance, "a-run") as tags,
    ):
        assert not tags
    assert aws.calls.counts() == {}


def a_job_origin() -> JobPythonOrigin:
    """As the code server gives it."""
    code = ModuleCodePointer("finops_assets.definitions", "defs")
    return JobPythonOrigin("a_job", RepositoryPythonOrigin(sys.executable, code, entry_point=["dagster"]))


def granted(document: str) -> set[str]:
    """The actions of a policy document in terraform/runtime.tf."""
    text = (ROOT / "terraform" / "runtime.tf").read_text(encoding="utf-8")
    block = re.search(rf'^data "aws_iam_policy_document" "{document}" {{\n(.*?)^}}', text, re.MULTILINE | re.DOTALL)[1]
    lists = re.findall(r"actions\s+= \[(.*?)\]", block, re.DOTALL)
    return {action for each in lists for action in re.findall(r'"([^"]+)"', each)}


def test_what_a_run_is_told_fits(dagster_home: Path) -> None:
    """ECS takes 8,192 characters of overrides; the instance, with its storage, goes with each run."""
    told = ExecuteRunArgs(a_job_origin(), "0" * 36, InstanceRef.from_dir(str(dagster_home))).get_command_args()
    assert len(json.dumps({"containerOverrides": [{"name": "run", "command": told}]})) < 8192


def test_without_its_bucket_the_variable_is_named(
    aws: StandIn, without_database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is missing in the environment is said, and not found out by logs that are nowhere."""
    monkeypatch.delenv("FINOPS_AWS__BUCKET")
    with (
        DagsterInstance.from_ref(InstanceRef.from_dir(str(without_database))) as instance,
        pytest.raises(Exception, match="FINOPS_AWS__BUCKET"),
    ):
        _ = instance.compute_log_manager


def test_the_environment_that_is_asked_for_is_set() -> None:
    """What deploy/ reads of the environment, terraform/ or the image sets."""
    asked = set()
    for name in ("dagster.yaml", "workspace.yaml"):
        asked |= set(re.findall(r"env: (\w+)", (DEPLOY / name).read_text(encoding="utf-8")))
    for name in ("start", "healthcheck.py"):
        asked |= set(re.findall(r"\bDAGSTER_[A-Z]+(?:_[A-Z]+)*\b", (DEPLOY / name).read_text(encoding="utf-8")))
    set_there = set(re.findall(r"\b((?:DAGSTER|FINOPS|AWS|PG)_?[A-Z_]+)\s*=", INSTANCE_SET.read_text(encoding="utf-8")))
    assert asked - set_there - set(final_stage_environment()) - {"DAGSTER_POSTGRES"} == set()


# --- Dockerfile ------------------------------------------------------------------------------------------------------


def dockerfile() -> list[tuple[str, str]]:
    """The instructions: (name, arguments), with lines joined and comments gone."""
    lines = [line for line in DOCKERFILE.read_text(encoding="utf-8").splitlines() if not line.startswith("#")]
    joined = "\n".join(lines).replace("\\\n", " ")
    return [
        (name, rest.strip()) for name, _, rest in (line.partition(" ") for line in joined.splitlines() if line.strip())
    ]


def final_stage() -> list[tuple[str, str]]:
    instructions = dockerfile()
    last = max(n for n, (name, _) in enumerate(instructions) if name == "FROM")
    return instructions[last:]


def final_stage_environment() -> dict[str, str]:
    return dict(pair.split("=", 1) for name, rest in final_stage() if name == "ENV" for pair in rest.split())


def sent_to_docker() -> set[Path]:
    """The files that .dockerignore lets into the image's context: all are ignored but what is named with a `!`."""
    rules = [
        line for line in (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines() if line[:1] not in ("", "#")
    ]
    assert rules[0] == "*"
    kept = [ROOT / rule[1:] for rule in rules if rule.startswith("!")]
    files = {file for path in kept for file in (path.rglob("*") if path.is_dir() else [path]) if file.is_file()}
    dropped = [rule.removeprefix("**/") for rule in rules if rule.startswith("**/")]
    return {file for file in files if not any(fnmatch(part, rule) for part in file.parts for rule in dropped)}


def test_the_image_is_small_unprivileged_and_watched() -> None:
    """Two stages, a user with a number, a health check, no secret, no latest, and nothing that pip may choose."""
    instructions = dockerfile()
    assert [rest for name, rest in instructions if name == "FROM"] == ["${PYTHON} AS build", "${PYTHON}"]
    [base] = [rest.partition("=")[2] for name, rest in instructions if name == "ARG"]
    assert re.fullmatch(r"python:3\.1[1-3]-slim-\w+", base)
    last = dict(final_stage())
    assert re.fullmatch(r"[1-9]\d{3,}:[1-9]\d{3,}", last["USER"]), "orchestrators tell root from others by the number"
    assert "healthcheck.py" in last["HEALTHCHECK"]
    assert not [rest for name, rest in final_stage() if name == "RUN" and "pip" in rest], "what builds stays behind"
    assert not [name for name in final_stage_environment() if re.search("PASSWORD|SECRET|TOKEN|KEY", name)]
    steps = [step for name, rest in instructions if name == "RUN" for step in rest.split("&&") if "/pip " in step]
    assert steps
    assert all("--require-hashes" in step or "--no-deps" in step for step in steps)
    assert all("--no-build-isolation" in step for step in steps if "pip wheel" in step)
    assert not [name for name, _ in instructions if name == "ADD"]


def test_what_the_image_copies_is_there_and_nothing_else_is_sent() -> None:
    """Each source is in the context; settings, homes, history and tests are not."""
    sent = {file.relative_to(ROOT) for file in sent_to_docker()}
    for name, rest in dockerfile():
        if name == "COPY" and "--from" not in rest:
            for source in rest.split()[:-1]:
                assert any(Path(source) in (file, *file.parents) for file in sent), source
    assert {file.parts[0] for file in sent} == {
        *("LICENSE", "README.md", "requirements", "pyproject.toml", "deploy", "finops_assets")
    }
    assert not [file for file in sent if file.suffix not in SENT and file.name not in ("LICENSE", "start")]


SENT = {
    ".py",
    ".typed",
    ".js",
    ".css",
    ".yaml",
    ".txt",
    ".toml",
    ".md",
    ".html",
    ".j2",
    ".typ",
    ".otf",
    ".ttf",
    ".json",
    ".csv",
    ".parquet",
}


LOCKED = re.compile(r"^([\w.-]+)(?:\[.+?\])?==([^\s;]+)(?: ; (.+?))? \\$", re.MULTILINE)


def locked(file: str) -> dict[str, str]:
    """The versions that a file of requirements/ gives this Python on this machine: name -> version."""
    lines = LOCKED.findall((REQUIREMENTS / file).read_text(encoding="utf-8"))
    return {name: version for name, version, marker in lines if not marker or Marker(marker).evaluate()}


def needed(*extras: str) -> set[str]:
    """The names of all that the package needs with these extras, and of what those need in turn."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    chosen = [project["optional-dependencies"][name] for name in extras]
    left = [each for lines in (project["dependencies"], *chosen) for each in lines]
    seen: set[str] = set()
    while left:
        requirement = Requirement(left.pop())
        if str(requirement) in seen:
            continue
        seen.add(str(requirement))
        for line in metadata.requires(requirement.name) or ():
            marker = Requirement(line).marker
            if any(not marker or marker.evaluate({"extra": extra}) for extra in (*requirement.extras, "")):
                left.append(line.partition(";")[0])
    return {canonicalize_name(Requirement(each).name) for each in seen}


@pytest.mark.parametrize(
    ("file", "extras"),
    [
        ("runtime.txt", ()),
        ("deployment.txt", ("aws", "postgres")),
        ("development.txt", ("aws", "postgres", "test", "lint")),
    ],
)
def test_what_is_installed_is_what_is_tested_here(file: str, extras: tuple[str, ...]) -> None:
    """Each file of requirements/ has all that is needed for its purpose, and the versions that run these tests."""
    versions = locked(file)
    assert needed(*extras) == versions.keys()
    assert {name for name, version in versions.items() if version != metadata.version(name)} == set()


def test_the_image_has_the_deployment_s_requirements() -> None:
    """The storage and the cloud of deploy/dagster.yaml are among them; the file is the one that the image installs."""
    assert {"dagster-postgres", "psycopg2-binary", "dagster-aws", "boto3"} <= locked("deployment.txt").keys()
    assert [rest for name, rest in dockerfile() if name == "RUN" and "requirements/deployment.txt" in rest]


@pytest.mark.parametrize("file", sorted(REQUIREMENTS.glob("*.txt")), ids=lambda file: file.stem)
def test_every_file_that_is_installed_has_a_hash(file: Path) -> None:
    """Versions and hashes, wheels alone (a source would be built with what is not locked), and no address."""
    text = file.read_text(encoding="utf-8")
    entries = re.split(r"^(?=[\w.-]+(?:\[.+?\])?==)", text, flags=re.MULTILINE)
    assert "--only-binary :all:" in entries[0].splitlines()
    assert len(entries) > 1
    assert [entry for entry in entries[1:] if not re.search(r"--hash=sha256:[0-9a-f]{64}", entry)] == []
    assert {line[:1] for line in text.splitlines() if line} == {"#", "-", " "} | {entry[0] for entry in entries[1:]}
    assert "://" not in text


def test_the_builds_steps_make_a_package_with_all_of_its_files(tmp_path: Path) -> None:
    """From the files that docker is sent, and in the image's order: both homes, and a package that runs by itself."""
    context = tmp_path / "src"
    for file in sent_to_docker():
        to = context / file.relative_to(ROOT)
        to.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(file, to)
    build = "from setuptools.build_meta import build_wheel; print(build_wheel('..'))"
    done = subprocess.run([sys.executable, "-c", build], cwd=context, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    with zipfile.ZipFile(tmp_path / done.stdout.splitlines()[-1]) as wheel:
        packed = {name for name in wheel.namelist() if name.startswith("finops_assets/")}
        wheel.extractall(tmp_path / "venv")
    sent = {str(file.relative_to(ROOT)) for file in sent_to_docker()}
    assert packed == {name for name in sent if name.startswith("finops_assets/")}
    alone = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"} | {"PYTHONPATH": "venv"}
    told = "import finops_assets.cli.main; print(finops_assets.__file__); finops_assets.cli.main.main()"
    version = subprocess.run(
        [sys.executable, "-c", told, "--version"], cwd=tmp_path, env=alone, capture_output=True, text=True, check=False
    )
    assert version.returncode == 0, version.stderr
    assert version.stdout.startswith(str(tmp_path / "venv")), version.stdout


def test_the_instance_of_the_image_is_made_with_the_build_stages_commands(tmp_path: Path) -> None:
    """The RUN that makes the two homes, as it is written, with the image's places moved to a folder."""
    [command] = [rest for name, rest in dockerfile() if name == "RUN" and "overlay.py" in rest]
    shutil.copytree(DEPLOY, tmp_path / "opt/finops")
    command = command.replace("/opt/venv/bin/python", sys.executable).replace("/opt/", f"{tmp_path}/opt/")
    subprocess.run(["sh", "-ec", command], check=True)
    homes = {str(file.relative_to(tmp_path / "opt/dagster")) for file in (tmp_path / "opt/dagster").rglob("*.yaml")}
    assert homes == {f"{home}/{file}" for home in ("ecs", "single") for file in ("dagster.yaml", "workspace.yaml")}
    assert final_stage_environment()["DAGSTER_HOME"] == "/opt/dagster/ecs"
    made = InstanceRef.from_dir(str(tmp_path / "opt/dagster/single"))
    launcher = made.run_launcher_data.rehydrate(as_type=WatchedRunLauncher)
    [volumes] = [json.loads(rest) for name, rest in dockerfile() if name == "VOLUME"]
    locks = str(launcher.locks.folder)
    assert locks in volumes, "runs and daemon are in containers that share no other folder"
    assert any(f"install -d -o finops -g finops /work {locks}" in rest for name, rest in dockerfile() if name == "RUN")


def test_a_process_that_is_not_one_is_refused(tmp_path: Path) -> None:
    """`start` and the health check name what there is; a container in which nothing was started is well."""
    environ = os.environ | {"TMPDIR": str(tmp_path)}
    start = subprocess.run([DEPLOY / "start", "web"], env=environ, capture_output=True, text=True, check=False)
    assert (start.returncode, "code, webserver, daemon" in start.stderr) == (2, True)
    (tmp_path / "started").unlink()
    check = [sys.executable, DEPLOY / "healthcheck.py"]
    wrong = subprocess.run([*check, "web"], env=environ, capture_output=True, text=True, check=False)
    assert (wrong.returncode, "webserver" in wrong.stderr) == (1, True)
    assert subprocess.run([*check, "started"], env=environ, check=False).returncode == 0
    (tmp_path / "started").write_text("webserver\n")
    nobody = environ | {"DAGSTER_WEBSERVER_PORT": "1"}
    gone = subprocess.run([*check, "started"], env=nobody, capture_output=True, text=True, check=False)
    assert (gone.returncode, "does not answer" in gone.stderr) == (1, True)


# --- logs ------------------------------------------------------------------------------------------------------------

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


def test_what_a_run_prints_is_in_the_bucket(aws: StandIn, without_database: Path, tmp_path: Path) -> None:
    """A real run in a process of its own leaves its output below dagster-logs/, and no empty object."""
    aws.client("s3").create_bucket(Bucket=BUCKET)
    script = tmp_path / "hello.py"
    script.write_text(SAYS_HELLO)
    environ = {**os.environ, "DAGSTER_HOME": str(without_database), "TMPDIR": str(tmp_path)}
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
    """CREATE TABLE and the export name the same columns: what FOCUS, why a day moved, and commitments need."""
    from finops_assets.core.bill.drivers_sql import driver_columns
    from finops_assets.core.bill.formats.focus import FOCUS
    from finops_assets.core.bill.further_columns import further_columns
    from finops_assets.core.bill.recognition import recognise
    from finops_assets.core.bill.rules import Rules, check_columns

    query = json.loads(documents()["export.json"])["DataQuery"]["QueryStatement"]
    exported = [name.lower() for name in re.search("SELECT (.*) FROM", query)[1].split(", ")]
    inside = re.search(r"\((.*?)\)\nPARTITIONED", documents()["table.sql"], re.DOTALL)[1]
    columns = dict(pair.split() for pair in re.split(r",(?!string>)", inside))
    assert list(columns) == exported
    labels = {"tags": columns.pop("tags")}  # for [dimensions], whatever is set
    assert labels == {"tags": "map<string,string>"}
    types = {"double": "DOUBLE", "string": "VARCHAR", "timestamp": "TIMESTAMP"}
    sql_types = {name: types[type_] for name, type_ in columns.items()}
    for basis in ("billed", "effective"):
        rules = Rules(basis)
        check_columns(recognise(sql_types, "billing.focus"), sql_types, rules, "billing.focus")
        read = {*driver_columns(FOCUS, sql_types, rules), *further_columns(FOCUS, sql_types, rules)}
        unused = set(columns) - read - {"billedcost", "effectivecost"}
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
    "lakeformation:GetDataAccess": "Lake Formation gives data by it, where a table is registered there",
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
    # deployment.py makes data sets and dashboard, once, for somebody with the rights of docs/quicksight.md.
    files = [file for file in ADAPTERS.rglob("*.py") if file.name not in ("deployment.py", "fixes.py")]
    text = "".join(file.read_text(encoding="utf-8") for file in files)
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
    platform.dashboard.start_refresh("other-work")()
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

"""Try that the module's own tests find mistakes: `terraform test` of a copy that has all of them.

    python3 scripts/terraform_mistakes.py DIR

DIR is an initialised copy of terraform/, which is changed. Exit code 1, and the mistakes that nobody has found.
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

NOT_MEANT = [
    ("storage.tf", 'status = "Enabled"', 'status = "Suspended"', "a day that was replaced is gone"),
    (
        "storage.tf",
        "ignore_public_acls      = true",
        "ignore_public_acls      = false",
        "open to the public in any way",
    ),
    ("storage.tf", 'object_ownership = "BucketOwnerEnforced"', 'object_ownership = "ObjectWriter"', "to its owner"),
    ("storage.tf", "prefix = local.results_prefix, days = 7", "prefix = local.results_prefix, days = 3650", "is swept"),
    ("storage.tf", "prefix                   = local.evidence_prefix", 'prefix = "evidence/"', "its index does not"),
    ("storage.tf", "days_after_initiation = 1", "days_after_initiation = 100", "Incomplete uploads are aborted"),
    ("storage.tf", "noncurrent_days = var.keep_replaced_days", "noncurrent_days = 1", "kept for the stated time"),
    ("catalog.tf", "1000 * 1000 * 1000", "1024 * 1024 * 1024", "in decimal gigabytes"),
    (
        "catalog.tf",
        "enforce_workgroup_configuration    = true",
        "enforce_workgroup_configuration = false",
        "for every q",
    ),
    ("catalog.tf", "/${local.results_prefix}", "/results/", "where a lifecycle rule sweeps them"),
    ("catalog.tf", "engine version 3", "engine version 2", "that of engine version 3"),
    ("mail.tf", '"COMPLAINT", "DELIVERY_DELAY", "REJECT"', '"REJECT"', "complaints and delays are told"),
    ("mail.tf", 'tls_policy = "REQUIRE"', 'tls_policy = "OPTIONAL"', "No digest travels in clear text"),
    (
        "alerts.tf",
        'windows = 26, below = 1, missing = "breaching"',
        'windows = 26, below = 1, missing = "ignore"',
        "not silent",
    ),
    ("alerts.tf", "period = 600, windows = 6", "period = 60, windows = 6", "An hour without a tick"),
    ("alerts.tf", "ok_actions    = [aws_sns_topic.alerts.arn]", "ok_actions = []", "also when it is over"),
    ("alerts.tf", "clusterArn = [local.cluster_arn]", 'clusterArn = ["*"]', "own cluster are told of"),
    ("bill.tf", 'overwrite   = "OVERWRITE_REPORT"', 'overwrite = "CREATE_NEW_REPORT"', "counts every line again"),
    (
        "bill.tf",
        "s3://${local.bill_data}BILLING_PERIOD",
        "s3://${local.bill_data}billing_period",
        "by their folder's name",
    ),
    ("outputs.tf", '"aws.sns_topic_arn"', '"aws.topic_arn"', "that follow from what was made"),
    ("identity.tf", '"digests/", "dimension-scorecards/", "drivers/",', '"",', "may delete a day or evidence"),
    ("identity.tf", '"s3:GetObject", "s3:PutObject", "s3:AbortMultipartUpload"', '"s3:*"', "begins with something"),
    (
        "identity.tf",
        "resources = [local.topic_arn]",
        'resources = ["*"]',
        "knows no resource for is allowed on everything",
    ),
    ("identity.tf", "values   = [var.mail.sender]", 'values   = ["*"]', "from the one sender"),
    ("identity.tf", 'variable = "cloudwatch:namespace"', 'variable = "aws:SourceVpc"', "into the one namespace"),
    ("identity.tf", '"ecs-tasks.amazonaws.com"', '"ec2.amazonaws.com"', "Only tasks of this account"),
    ("storage.tf", 'values   = ["false"]', 'values   = ["true"]', "without TLS is denied to everybody"),
    ("bill.tf", "values   = [local.task_role_arn]", 'values   = ["*"]', "only its task reads the bill"),
    ("alerts.tf", 'variable = "aws:SourceArn"', 'variable = "aws:userid"', "publish for this platform only"),
    (
        "quicksight.tf",
        "${local.bucket_arn}/${local.results_prefix}*",
        "${local.bucket_arn}/*",
        "writes query results only",
    ),
    ("alerts.tf", "from = var.alerts.run_minutes * 60", "from = var.alerts.run_minutes", "which are 3,600 seconds"),
    ("alerts.tf", 'service = "ses"', 'service = "sns"', "bounces reach the topic"),
    ("alerts.tf", 'metric = "DaysMissing"', 'metric = "DaysMising"', "as the platform writes it"),
    ("alerts.tf", "? [0, 3] : [0, 143]", "? [0] : [0, 143]", "(exit code 3) is told once"),
    ("identity.tf", 'resources = ["${local.bucket_arn}/*"]', 'resources = ["arn:aws:s3:::*/*"]', "into no other"),
    ("bill.tf", "${var.bill.first_month},NOW", "${var.bill.first_month},2024-12", "from the first one to this one"),
    ("runtime.tf", 'values = ["/graphql*"]', 'values = ["/graph"]', "stands before Dagster's API"),
    ("runtime.tf", "values = [var.ui.host]", 'values = ["*"]', "by its own name alone"),
    ("runtime.tf", 'contains(each.value, "daemon") ? 100 : 200', "200", "Two daemons must never run at once"),
    ("runtime_network.tf", "local.own_vpc && local.served\n  groups", "local.own_vpc\n  groups", "No NAT gateway"),
    ("runtime_scheduled.tf", "assign_public_ip = local.own_vpc", "assign_public_ip = false", "an address of its own"),
    ("runtime_scheduled.tf", "cron(15/30 0-11", "cron(0/30 0-11", "at a time of its own"),
]
"""Mistakes that are valid: file, what stands there, what by mistake, words of the assertion that must find it."""

RUNS = {
    "plan": ("an_account_with_everything_here",),
    "policies": ("policies",),
    "runtime": ("a_task_each_morning_and_no_server", "a_service_each_and_a_task_a_run"),
}
"""File of tests -> the runs that have the assertions; others would be skipped after them."""


def main(folder: Path) -> int:
    for file, right, wrong, _ in NOT_MEANT:
        text = (folder / file).read_text(encoding="utf-8")
        if right not in text:
            sys.stderr.write(f"{file} has no {right!r}: say the mistake anew\n")
            return 1
        (folder / file).write_text(text.replace(right, wrong, 1), encoding="utf-8")
    for name, runs in RUNS.items():
        tests = folder / "tests" / f"{name}.tftest.hcl"
        head, *parts = re.split(r'(?m)^(?=run ")', tests.read_text(encoding="utf-8"))
        kept = [part for part in parts if part.split('"')[1] in runs]
        tests.write_text("".join([head, *kept]), encoding="utf-8")
    filters = [f"-filter=tests/{name}.tftest.hcl" for name in RUNS]
    command = ["terraform", f"-chdir={folder}", "test", "-no-color", *filters]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - no shell, no foreign word
    told = re.sub(r"\s+", " ", done.stdout + done.stderr)
    missed = [f"{file}: {right!r} -> {wrong!r}" for file, right, wrong, says in NOT_MEANT if says not in told]
    if missed:
        sys.stderr.write("\n".join([told, "No assertion has found these mistakes:", *missed, ""]))
        return 1
    sys.stdout.write(f"{len(NOT_MEANT)} mistakes found\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))

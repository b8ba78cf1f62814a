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
    ("identity.tf", '"digests/", "drivers/", "heartbeats/",', '"",', "may delete a day or evidence"),
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
]
"""Mistakes that are valid: file, what stands there, what by mistake, words of the assertion that must find it."""


def main(folder: Path) -> int:
    for file, right, wrong, _ in NOT_MEANT:
        text = (folder / file).read_text(encoding="utf-8")
        if right not in text:
            sys.stderr.write(f"{file} has no {right!r}: say the mistake anew\n")
            return 1
        (folder / file).write_text(text.replace(right, wrong, 1), encoding="utf-8")
    for name in ("plan", "policies"):  # the first run of each has all the assertions; the others would be skipped
        tests = folder / "tests" / f"{name}.tftest.hcl"
        text = tests.read_text(encoding="utf-8")
        second = [found.start() for found in re.finditer(r'(?m)^run "', text)][1]
        tests.write_text(text[:second], encoding="utf-8")
    filters = [f"-filter=tests/{name}.tftest.hcl" for name in ("plan", "policies")]
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

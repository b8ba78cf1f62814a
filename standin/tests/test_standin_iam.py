"""The tests' own reading of policies decides as IAM does, and cannot say yes to everything."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from standin.faults import Call
from standin.iam import Request, allowed, requests_of

READ = {"Effect": "Allow", "Action": ["s3:GetObject", "s3:List*"], "Resource": "arn:aws:s3:::b/days/*"}
MAIL = {
    "Effect": "Allow",
    "Action": "ses:SendRawEmail",
    "Resource": "*",
    "Condition": {"StringEquals": {"ses:FromAddress": ["a@example.com", "b@example.com"]}},
}
NEVER = {"Effect": "Deny", "Action": "*", "Resource": "arn:aws:s3:::b/days/secret*"}

DECISIONS = [
    ("s3:GetObject", "arn:aws:s3:::b/days/1", {}, True),
    ("S3:getobject", "arn:aws:s3:::b/days/1", {}, True),
    ("s3:ListSomething", "arn:aws:s3:::b/days/1/2", {}, True),
    ("s3:GetObjectVersion", "arn:aws:s3:::b/days/1", {}, False),
    ("s3:GetObject", "arn:aws:s3:::b/nights/1", {}, False),
    ("s3:GetObject", "arn:aws:s3:::b/days/secret", {}, False),
    ("s3:PutObject", "arn:aws:s3:::b/days/1", {}, False),
    ("ses:SendRawEmail", "*", {"ses:FromAddress": "b@example.com"}, True),
    ("ses:SendRawEmail", "*", {"SES:fromaddress": "a@example.com"}, True),
    ("ses:SendRawEmail", "*", {"ses:FromAddress": "c@example.com"}, False),
    ("ses:SendRawEmail", "*", {}, False),
]


@pytest.mark.parametrize(("action", "resource", "context", "yes"), DECISIONS)
def test_a_request_is_decided(action: str, resource: str, context: dict[str, str], yes: bool) -> None:
    """Wildcards, conditions, denials, and no where nothing says yes."""
    assert allowed(Request(action, resource, context), [{"Statement": [READ, MAIL]}, {"Statement": NEVER}]) is yes


CALLS = [
    ("s3", "PutObject", {"Bucket": "b", "Key": "days/a%3Db"}, {"s3:PutObject on arn:aws:s3:::b/days/a=b"}),
    ("s3", "HeadObject", {"Bucket": "b", "Key": "k"}, {"s3:GetObject on arn:aws:s3:::b/k"}),
    ("s3", "GetObject", {"Bucket": "b", "Key": "k", "VersionId": "1"}, {"s3:GetObjectVersion on arn:aws:s3:::b/k"}),
    ("s3", "ListObjectsV2", {"Bucket": "b", "Prefix": "days/"}, {"s3:ListBucket on arn:aws:s3:::b"}),
    (
        "s3",
        "DeleteObjects",
        {"Bucket": "b", "Keys": ["x", "y"]},
        {"s3:DeleteObject on arn:aws:s3:::b/x", "s3:DeleteObject on arn:aws:s3:::b/y"},
    ),
    (
        "glue",
        "GetTable",
        {"DatabaseName": "d", "Name": "t"},
        {f"glue:GetTable on arn:aws:glue:r:1:{what}" for what in ("catalog", "database/d", "table/d/t")},
    ),
    (
        "athena",
        "GetQueryExecution",
        {"QueryExecutionId": "q"},
        {"athena:GetQueryExecution on arn:aws:athena:r:1:workgroup/w"},
    ),
    (
        "sesv2",
        "SendEmail",
        {"FromEmailAddress": "a@b.c", "ConfigurationSetName": "s"},
        {
            "ses:SendRawEmail on arn:aws:ses:r:1:identity/b.c, ses:FromAddress = a@b.c",
            "ses:SendRawEmail on arn:aws:ses:r:1:configuration-set/s, ses:FromAddress = a@b.c",
        },
    ),
    ("sts", "GetCallerIdentity", {}, set()),
]


@pytest.mark.parametrize(("service", "operation", "params", "asks"), CALLS)
def test_a_call_asks_for_what_iam_is_asked(
    service: str, operation: str, params: dict[str, Any], asks: set[str]
) -> None:
    """Each thing that a call is about, under the permission's name."""
    call = Call(service, operation, params, "r", datetime.now(UTC))
    assert {str(request) for request in requests_of(call, "1", "w")} == asks

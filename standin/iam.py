"""IAM's decision over one request, as far as the policies of terraform/ go, and requests that a recorded call makes.

A request is an action on a resource, with what the conditions ask about. What is not denied and not allowed is refused.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

if TYPE_CHECKING:
    from standin.faults import Call

FREE = frozenset({"sts:GetCallerIdentity"})
"""What needs no permission."""

ACTIONS = {
    "s3:ListObjectsV2": "s3:ListBucket",
    "s3:ListObjects": "s3:ListBucket",
    "s3:ListObjectVersions": "s3:ListBucketVersions",
    "s3:HeadBucket": "s3:ListBucket",
    "s3:HeadObject": "s3:GetObject",
    "s3:DeleteObjects": "s3:DeleteObject",
    "s3:GetPublicAccessBlock": "s3:GetBucketPublicAccessBlock",
    "s3:CreateMultipartUpload": "s3:PutObject",
    "s3:UploadPart": "s3:PutObject",
    "s3:CompleteMultipartUpload": "s3:PutObject",
    "ses:SendEmail": "ses:SendRawEmail",  # what SES checks for raw content
}
"""Where the permission has another name than the operation (Service Authorization Reference)."""

MATCHES = {
    "StringEquals": lambda value, wanted: value == wanted,
    "StringLike": lambda value, wanted: like(value, wanted),
    "ArnEquals": lambda value, wanted: like(value, wanted),
    "ArnLike": lambda value, wanted: like(value, wanted),
    "Bool": lambda value, wanted: value.lower() == wanted.lower(),
}


@dataclass(frozen=True)
class Request:
    """Something that a role wants to do."""

    action: str
    resource: str
    context: Mapping[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        conditions = "".join(f", {name} = {value}" for name, value in self.context.items())
        return f"{self.action} on {self.resource}{conditions}"


def allowed(request: Request, policies: Iterable[Mapping[str, Any]]) -> bool:
    """Whether these identity policies let the request through."""
    fitting = [
        statement["Effect"]
        for policy in policies
        for statement in _list(policy["Statement"])
        if any(like(request.action.lower(), action.lower()) for action in _list(statement["Action"]))
        and any(like(request.resource, resource) for resource in _list(statement["Resource"]))
        and _holds(statement.get("Condition", {}), request.context)
    ]
    return "Allow" in fitting and "Deny" not in fitting


def like(value: str, pattern: str) -> bool:
    """IAM's wildcards: `*` for any characters, `?` for one."""
    return re.fullmatch(re.escape(pattern).replace(r"\*", ".*").replace(r"\?", "."), value, re.DOTALL) is not None


def _holds(conditions: Mapping[str, Mapping[str, Any]], context: Mapping[str, str]) -> bool:
    known = {name.lower(): value for name, value in context.items()}
    return all(
        key.lower() in known and any(MATCHES[operator](known[key.lower()], wanted) for wanted in _list(values))
        for operator, keys in conditions.items()
        for key, values in keys.items()
    )


def _list(value: Any) -> Sequence[Any]:
    return value if isinstance(value, list) else [value]


def requests_of(call: Call, account: str, workgroup: str) -> list[Request]:
    """What IAM is asked before AWS carries out a call; more than one where it is about several things.

    Args:
        call: a call that the stand-in recorded.
        account: whose things they are.
        workgroup: of queries that a call names by their id alone.
    """
    service = {"sesv2": "ses"}.get(call.service, call.service)
    action = f"{service}:{call.operation}"
    action = ACTIONS.get(action, action)
    if action in FREE:
        return []
    params = call.params

    def arn(resource: str) -> str:
        return f"arn:aws:{service}:{call.region}:{account}:{resource}"

    context: dict[str, str] = {}
    if service == "s3":
        bucket = f"arn:aws:s3:::{params['Bucket']}"
        keys = params.get("Keys") or ([unquote(params["Key"])] if "Key" in params else [])
        resources = [f"{bucket}/{key}" for key in keys] or [bucket]
        if action == "s3:GetObject" and params.get("VersionId"):
            action = "s3:GetObjectVersion"
    elif service == "glue":
        database = params.get("DatabaseName") or params.get("Name") or params["DatabaseInput"]["Name"]
        table = params.get("TableName") or params.get("TableInput", {}).get("Name")
        every = "*" if call.operation == "GetTables" else ""
        table = table or (params.get("Name") if "DatabaseName" in params else every)
        resources = [arn("catalog"), arn(f"database/{database}")] + ([arn(f"table/{database}/{table}")] * bool(table))
    elif service == "athena":
        resources = [arn(f"workgroup/{params.get('WorkGroup', workgroup)}")]
    elif service == "quicksight":
        ingestion = f"/ingestion/{params['IngestionId']}" if "IngestionId" in params else ""
        resources = [arn(f"dataset/{params['DataSetId']}{ingestion}")]
    elif action == "ses:SendRawEmail":
        sender = params["FromEmailAddress"]
        resources = [arn(f"identity/{sender.split('@')[1]}")]
        if "ConfigurationSetName" in params:
            resources.append(arn(f"configuration-set/{params['ConfigurationSetName']}"))
        context = {"ses:FromAddress": sender}
    elif action == "ses:GetEmailIdentity":
        resources = [arn(f"identity/{unquote(params['EmailIdentity'])}")]
    elif action == "ses:GetConfigurationSet":
        resources = [arn(f"configuration-set/{params['ConfigurationSetName']}")]
    elif service == "sns":
        resources = [params["TopicArn"]]
    elif action == "sts:AssumeRole":
        resources = [params["RoleArn"]]
    else:
        resources = ["*"]
        if action == "cloudwatch:PutMetricData":
            context = {"cloudwatch:namespace": params["Namespace"]}
    return [Request(action, resource, context) for resource in resources]

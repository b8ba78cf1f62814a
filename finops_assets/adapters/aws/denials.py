"""What is to be allowed where Athena was denied something: it says so as the reason of a failed query.

Wordings: AWS's troubleshooting pages of Athena and Lake Formation (troubleshooting-athena.html, access-denied errors).
"""

from __future__ import annotations

import re

from finops_assets.adapters.aws.session import DENIAL

IN_THE_ROLE = "in the IAM policy of the role"
LAKE_FORMATION = re.compile(r"Insufficient Lake Formation permission\(s\)(?::\s*(?:Required )?(.+?))?\s*(?:\(|$)", re.I)
WRITING = re.compile(r"Access denied when writing (?:output )?to (?:url|location):? ?s3://([^\s'\"]+)", re.I)
READING = re.compile(r"(?:Permission denied on S3 path|Access Denied.*?path):? ?s3://([^\s'\"]+)", re.I)
S3 = ((WRITING, "s3:PutObject", "kms:GenerateDataKey"), (READING, "s3:GetObject", "kms:Decrypt"))


def fix_of_denial(reason: str) -> str:
    """The action to allow and its resource; empty where the reason is no denial."""
    if named := LAKE_FORMATION.search(reason):
        what = (named[1] or "SELECT on the table").strip().rstrip(".")
        return f"Grant the role {what} in Lake Formation, and allow lakeformation:GetDataAccess {IN_THE_ROLE}."
    if named := re.search(DENIAL, reason):
        on = f" on {named[2]}" if named[2] else ""
        return f"Allow {named[1]}{on} {IN_THE_ROLE}."
    for pattern, action, of_key in S3:
        if named := pattern.search(reason):
            return f"Allow {action} on arn:aws:s3:::{_below(named[1])} {IN_THE_ROLE}, and {of_key} on its key."
    return ""


def _below(path: str) -> str:
    """The folder of an object, with all that lies in it."""
    return path.rpartition("/")[0] + "/*"

"""The archive in S3: the same code as in a folder, over a bucket, with S3's errors in words."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from finops_assets.adapters.archive import ObjectArchive
from finops_assets.adapters.aws.session import EXPIRED, LOG_IN, NO_CREDENTIALS, AwsSession
from finops_assets.core.errors import ArchiveError, FinopsError, SettingsError

ACCESS = ("AccessDenied", "403 Forbidden", "PermissionDenied", "Unauthenticated")


def open_archive(session: AwsSession, bucket: str) -> ObjectArchive:
    """The archive in a bucket; nothing is asked of S3 yet."""
    return ObjectArchive(session.store(bucket), explain_for(bucket))


@contextmanager
def s3_explained(bucket: str, path: str, action: str) -> Iterator[None]:
    """S3's errors in words, for reads beside the archive; where an object is not there, FileNotFoundError remains."""
    from obstore.exceptions import BaseError

    try:
        yield
    except (BaseError, OSError) as error:
        explained = explain_for(bucket)(str(error), path, action)
        if explained is None:
            raise FileNotFoundError(path) from None
        raise explained from None


def explain_for(bucket: str) -> Callable[[str, str, str], FinopsError | None]:
    """What to tell people of an error of S3 at this bucket, by what S3 said."""

    def explain(said: str, path: str, action: str) -> FinopsError | None:
        resource = f"arn:aws:s3:::{bucket}" + ("" if action == "s3:ListBucket" else f"/{path}")
        where = f"s3://{bucket}/{path}"
        first_line = said.splitlines()[0] if said else "no reason given"
        if "NoSuchBucket" in said:
            return SettingsError(
                f"there is no bucket {bucket}",
                where="aws.bucket (FINOPS_AWS__BUCKET)",
                fix="Set it to the archive's bucket, or make it (terraform/).",
            )
        if "redirect" in said.lower() or "PermanentRedirect" in said or "AuthorizationHeaderMalformed" in said:
            return SettingsError(
                f"the bucket {bucket} is in another region ({first_line})",
                where="aws.region (FINOPS_AWS__REGION)",
                fix="Set it to the bucket's region.",
            )
        if NO_CREDENTIALS in said:
            return ArchiveError(NO_CREDENTIALS, where=where, fix=LOG_IN)
        expired = next((code for code in EXPIRED if code in said), "")
        if expired:
            return ArchiveError(
                f"the credentials are no longer valid ({expired})", where=where, fix="Log in again, then run it again."
            )
        if any(word in said for word in ACCESS):
            # A listing's path would narrow the resource: S3 checks it against the bucket.
            return ArchiveError(
                f"permission denied ({first_line})",
                where=where,
                fix=f"Allow {action} on {resource} in the IAM policy of the role"
                + (" (without s3:ListBucket, S3 also answers so for what is not there)." if "Get" in action else "."),
            )
        if action == "s3:GetObject" and re.search("NoSuchKey|not found|404", said, re.IGNORECASE):
            return None
        return ArchiveError(f"S3 answered: {first_line}", where=f"{where} ({action})", fix="Run it again.")

    return explain

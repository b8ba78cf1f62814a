"""The archive in S3: the same code as in a folder, over a bucket, with S3's errors in words."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC

from finops_assets.adapters.aws.session import EXPIRED, LOG_IN, NO_CREDENTIALS, AwsError, AwsSession, explained
from finops_assets.adapters.shared.archive import ObjectArchive
from finops_assets.core.errors import ArchiveError, ColdObjectError, FinopsError, SettingsError
from finops_assets.core.values import DayVersion

ACCESS = ("AccessDenied", "403 Forbidden", "PermissionDenied", "Unauthenticated")
NO_SUCH_VERSION = frozenset(("NoSuchVersion", "NoSuchKey", "InvalidArgument", "MethodNotAllowed"))
"""S3's codes for a missing version, for something that is no version id, and for a delete marker."""


def open_archive(session: AwsSession, bucket: str) -> ObjectArchive:
    """The archive in a bucket; nothing is asked of S3 yet."""
    return ObjectArchive(session.store(bucket), explain_for(bucket), BucketVersions(session, bucket))


class BucketVersions:
    """The versions that S3 keeps by itself in a bucket with versioning; asked by boto3, as obstore lists none."""

    def __init__(self, session: AwsSession, bucket: str) -> None:
        self._session, self._bucket = session, bucket

    def keep(self, path: str) -> None:
        """Nothing to do: S3 keeps versions by itself."""

    def of(self, path: str) -> list[DayVersion]:
        """The object's versions, newest first as S3 lists them, without delete markers.

        Raises:
            SettingsError: the bucket has no versioning.
        """
        s3, bucket = self._session.client("s3"), f"arn:aws:s3:::{self._bucket}"
        with explained("s3:GetBucketVersioning", where=bucket):
            versioning = s3.get_bucket_versioning(Bucket=self._bucket).get("Status")
        if not versioning:
            raise SettingsError(
                f"the bucket {self._bucket} keeps no versions: what was replaced in it is gone",
                where="aws.bucket (FINOPS_AWS__BUCKET)",
                fix=f"Turn versioning on, for what comes: `aws s3api put-bucket-versioning --bucket {self._bucket} "
                "--versioning-configuration Status=Enabled`.",
            )
        with explained("s3:ListBucketVersions", where=bucket):
            pages = s3.get_paginator("list_object_versions").paginate(Bucket=self._bucket, Prefix=path)
            listed = [one for page in pages for one in page.get("Versions", ()) if one["Key"] == path]
        return [
            DayVersion(one["VersionId"], one["LastModified"].astimezone(UTC), one["Size"], one["IsLatest"])
            for one in listed
        ]

    def read(self, path: str, version: str) -> bytes | None:
        try:
            with explained("s3:GetObjectVersion", where=f"arn:aws:s3:::{self._bucket}/{path}"):
                answer = self._session.client("s3").get_object(Bucket=self._bucket, Key=path, VersionId=version)
                return answer["Body"].read()
        except AwsError as error:
            if error.code in NO_SUCH_VERSION:
                return None
            if error.code == "InvalidObjectState":
                raise ColdObjectError(
                    f"version {version} is in cold storage",
                    where=f"s3://{self._bucket}/{path}",
                    fix=f"Have it restored: `aws s3api restore-object --bucket {self._bucket} --key {path} "
                    f"--version-id {version} --restore-request Days=14`; that takes hours. Then run this again.",
                ) from None
            raise


@contextmanager
def s3_explained(bucket: str, path: str, action: str) -> Iterator[None]:
    """Turn S3's errors into errors for people, for reads beside the archive; a missing object is FileNotFoundError."""
    from obstore.exceptions import BaseError

    try:
        yield
    except (BaseError, OSError) as error:
        explained = explain_for(bucket)(str(error), path, action)
        if explained is None:
            raise FileNotFoundError(path) from None
        raise explained from None


def explain_for(bucket: str) -> Callable[[str, str, str], FinopsError | None]:
    """What turns S3's message about this bucket into an error for people; None: there is no such object."""

    def explain(message: str, path: str, action: str) -> FinopsError | None:
        resource = f"arn:aws:s3:::{bucket}" + ("" if action == "s3:ListBucket" else f"/{path}")
        where = f"s3://{bucket}/{path}"
        first_line = message.splitlines()[0] if message else "no reason given"
        if "NoSuchBucket" in message:
            return SettingsError(
                f"there is no bucket {bucket}",
                where="aws.bucket (FINOPS_AWS__BUCKET)",
                fix="Set it to the archive's bucket, or make it (terraform/).",
            )
        if "redirect" in message.lower() or "PermanentRedirect" in message or "AuthorizationHeaderMalformed" in message:
            return SettingsError(
                f"the bucket {bucket} is in another region ({first_line})",
                where="aws.region (FINOPS_AWS__REGION)",
                fix="Set it to the bucket's region.",
            )
        if NO_CREDENTIALS in message:
            return ArchiveError(NO_CREDENTIALS, where=where, fix=LOG_IN)
        expired = next((code for code in EXPIRED if code in message), "")
        if expired:
            return ArchiveError(
                f"the credentials are no longer valid ({expired})", where=where, fix="Log in again, then run it again."
            )
        if "InvalidObjectState" in message:  # comes with 403, and is no matter of permissions
            request = '{"Days":14,"GlacierJobParameters":{"Tier":"Standard"}}'
            return ColdObjectError(
                "is in cold storage (S3 answered InvalidObjectState)",
                where=where,
                fix=f"Have it restored: `aws s3api restore-object --bucket {bucket} --key {path} "
                f"--restore-request '{request}'`; from Deep Archive that takes 12 hours (the cheaper tier Bulk: 48). "
                "Then run this again.",
            )
        if any(word in message for word in ACCESS):
            # A listing's path would narrow the resource: S3 checks it against the bucket.
            return ArchiveError(
                f"permission denied ({first_line})",
                where=where,
                fix=f"Allow {action} on {resource} in the IAM policy of the role"
                + (" (without s3:ListBucket, S3 also answers so for what is not there)." if "Get" in action else "."),
            )
        if action == "s3:GetObject" and re.search("NoSuchKey|not found|404", message, re.IGNORECASE):
            return None
        return ArchiveError(f"S3 answered: {first_line}", where=f"{where} ({action})", fix="Run it again.")

    return explain

"""Doctor: the identity, and the archive's bucket."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from uuid import uuid4

from finops_assets.adapters.aws.doctor.denied import unless_denied
from finops_assets.adapters.aws.s3 import open_archive
from finops_assets.adapters.aws.session import AwsError, AwsSession, explained
from finops_assets.adapters.aws.staging import PREFIX
from finops_assets.core.errors import SettingsError
from finops_assets.core.findings import Finding, findings_of

BLOCKS = ("BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets")


def identity(session: AwsSession) -> Iterator[Finding]:
    """Whose credentials are in force."""
    with explained("sts:GetCallerIdentity"):
        who = session.client("sts").get_caller_identity()
    yield Finding("credentials", "ok", f"account {who['Account']}, {who['Arn']}, region {session.region}")


class BucketChecks:
    """The checks of one bucket: its region, versions, public access, and whether it is read as it is written."""

    def __init__(self, session: AwsSession, bucket: str) -> None:
        self._session, self._name = session, bucket

    def check(self) -> Iterator[Finding]:
        name, region = self._name, self._session.region
        setting = "aws.bucket (FINOPS_AWS__BUCKET)"
        try:
            with explained("s3:ListBucket", where=f"arn:aws:s3:::{name}"):
                its_region = self._s3.head_bucket(Bucket=name).get("BucketRegion", region)
        except AwsError as error:
            # The answer to HEAD has no body: there is only its status.
            if error.code in ("404", "NoSuchBucket"):
                raise SettingsError(
                    f"there is no bucket {name}", where=setting, fix="Set it to the archive's bucket, or make it."
                ) from None
            if error.code == "403":
                raise SettingsError(
                    f"the bucket {name} is somebody else's, or may not be listed",
                    where=setting,
                    fix=f"Allow s3:ListBucket on arn:aws:s3:::{name}, or set aws.bucket to your own.",
                ) from None
            raise
        if its_region != region:
            raise SettingsError(
                f"the bucket {name} is in {its_region}, the region in force is {region}",
                where="aws.region (FINOPS_AWS__REGION)",
                fix=f"Set it to {its_region}.",
            )
        yield Finding("bucket", "ok", f"{name} in {region}")
        yield from unless_denied("versioning", self._versioning())
        yield from unless_denied("public access", self._public_access())
        yield from findings_of("read and write", self._probe())

    def _versioning(self) -> Iterator[Finding]:
        name = self._name
        with explained("s3:GetBucketVersioning", where=f"arn:aws:s3:::{name}"):
            status = self._s3.get_bucket_versioning(Bucket=name).get("Status", "never enabled")
        if status == "Enabled":
            yield Finding("versioning", "ok", f"{name} keeps every version of a day")
        else:
            yield Finding(
                "versioning",
                "fail",
                f"{name}: {status.lower()}: a day that is written again loses what it was",
                f"`aws s3api put-bucket-versioning --bucket {name} --versioning-configuration Status=Enabled`",
            )

    def _public_access(self) -> Iterator[Finding]:
        name = self._name
        try:
            with explained("s3:GetBucketPublicAccessBlock", where=f"arn:aws:s3:::{name}"):
                blocks = self._s3.get_public_access_block(Bucket=name)["PublicAccessBlockConfiguration"]
        except AwsError as error:
            if error.code != "NoSuchPublicAccessBlockConfiguration":
                raise
            blocks = {}
        lacking = [block for block in BLOCKS if not blocks.get(block)]
        if lacking:
            yield Finding(
                "public access",
                "warn",
                f"{name} does not itself set {', '.join(lacking)}",
                f"`aws s3api put-public-access-block --bucket {name} --public-access-block-configuration "
                f"{','.join(f'{block}=true' for block in BLOCKS)}`",
            )
        else:
            yield Finding("public access", "ok", f"{name} blocks it")

    def _probe(self) -> Iterator[Finding]:
        archive = open_archive(self._session, self._name)
        folder = f"{PREFIX}doctor/"
        path, data = f"{folder}{uuid4().hex}", b"written and removed by finops doctor"
        archive.create(path, data)
        try:
            whole = archive.get(path) == data and path in archive.list(folder)
        finally:
            archive.delete([path])
        if whole:
            yield Finding("read and write", "ok", f"an object below {folder} was written, read, listed and removed")
        else:
            yield Finding("read and write", "fail", f"{path} is not read as it was written", "Run doctor again.")

    @property
    def _s3(self) -> Any:
        return self._session.client("s3")

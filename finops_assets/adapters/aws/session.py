"""How AWS is reached: credentials, clients, stores, and AWS's errors as errors that name the action or the setting.

No call is made before the first use; clients are created once and shared between threads, as boto3 allows.
"""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from finops_assets.adapters.aws import retries
from finops_assets.core.errors import FinopsError, SettingsError

if TYPE_CHECKING:
    import boto3
    from obstore.store import S3Config, S3Store

ATTEMPTS = 8
"""Tries of one call, with back-off and jitter between them (boto3's standard mode: at most 20 s a pause)."""

CONNECT_SECONDS, READ_SECONDS = 10, 60

EXPIRED = frozenset(
    ("ExpiredToken", "ExpiredTokenException", "RequestExpired", "InvalidClientTokenId", "UnrecognizedClientException")
)
DENIED = frozenset(("AccessDenied", "AccessDeniedException", "AuthorizationError", "UnauthorizedOperation"))


NO_CREDENTIALS = "there are no AWS credentials"
LOG_IN = "Log in (`aws sso login`), set a profile, or run it where a role is attached."


DENIAL = r"not authorized to perform:? [`']?([\w:-]+)['`]?(?: on resource:? [`']?([^\s'`]+))?"
"""IAM's wording, and SES's own: "not authorized to perform `ses:SendRawEmail' on resource `arn:...'"."""


class AwsError(FinopsError):
    """AWS refused a call; `code` is its own name of the error."""

    def __init__(self, what: str, *, code: str, where: str = "", fix: str = "") -> None:
        super().__init__(what, where=where, fix=fix)
        self.code = code


class AwsSession:
    """One identity in one region.

    Args:
        region, profile, role_arn, endpoint_url: the settings of `[aws]`; empty ones are AWS's defaults.
        sleep: waits so many seconds before a call is repeated that was refused for a passing reason.
    """

    def __init__(
        self,
        *,
        region: str = "",
        profile: str = "",
        role_arn: str = "",
        endpoint_url: str = "",
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._sleep = sleep
        self._region, self._profile, self._role, self._endpoint = region, profile, role_arn, endpoint_url
        self._lock = threading.RLock()
        self._sessions: dict[str, boto3.Session] = {}
        self._clients: dict[tuple[str, str, int], Any] = {}
        self._stores: dict[str, S3Store] = {}
        self._account = ""
        self._provider: Any = None

    @property
    def region(self) -> str:
        """The region in force.

        Raises:
            SettingsError: neither the settings nor AWS's own configuration name one, or there is no such profile.
        """
        region = self._session("").region_name
        if not region:
            raise SettingsError("no region is set", where="aws.region (FINOPS_AWS__REGION)", fix="Set it: us-east-1.")
        return region

    @property
    def account(self) -> str:
        """The id of the account that the credentials belong to."""
        if not self._account:
            with explained("sts:GetCallerIdentity"):
                self._account = self.client("sts").get_caller_identity()["Account"]
        return self._account

    def client(self, service: str, role_arn: str = "", *, attempts: int = ATTEMPTS) -> Any:
        """The boto3 client of a service, as the role of the settings or as another one.

        Passing refusals are repeated (`retries`); with one attempt, nothing is repeated at all.
        """
        import botocore.config

        with self._lock:
            key = (service, role_arn, attempts)
            if key not in self._clients:
                config = botocore.config.Config(
                    retries={"mode": "standard", "total_max_attempts": attempts},
                    connect_timeout=CONNECT_SECONDS,
                    read_timeout=READ_SECONDS,
                    max_pool_connections=16,
                )
                self._clients[key] = self._session(role_arn).client(
                    service, region_name=self.region, endpoint_url=self._endpoint or None, config=config
                )
                if attempts > 1:
                    retries.retry_temporary(self._clients[key], self._sleep)
            return self._clients[key]

    def store(self, bucket: str) -> S3Store:
        """The object store on a bucket, with the same credentials as the clients."""
        with self._lock:
            if bucket not in self._stores:
                self._stores[bucket] = self._new_store(bucket)
            return self._stores[bucket]

    def _new_store(self, bucket: str) -> S3Store:
        from obstore.store import S3Store

        endpoint = self._endpoint or self.client("s3").meta.endpoint_url
        custom = ".amazonaws.com" not in endpoint
        config: S3Config | None = {"endpoint": endpoint} if custom else None
        return S3Store(
            bucket,
            region=self.region,
            credential_provider=self._credentials,
            virtual_hosted_style_request=not custom,
            client_options={"allow_http": custom, "timeout": f"{READ_SECONDS}s"},
            retry_config={"max_retries": ATTEMPTS},
            config=config,
        )

    def _credentials(self) -> Any:
        """Credentials for the store, resolved at its first request and again before they expire."""
        from obstore.auth.boto3 import Boto3CredentialProvider

        with self._lock:
            if self._provider is None:
                if self._session("").get_credentials() is None:
                    raise FinopsError(NO_CREDENTIALS)
                self._provider = Boto3CredentialProvider(self._session(""))
            return self._provider()

    def _session(self, role_arn: str) -> boto3.Session:
        import boto3
        import botocore.exceptions

        with self._lock:
            if role_arn not in self._sessions:
                try:
                    session = boto3.Session(profile_name=self._profile or None, region_name=self._region or None)
                except botocore.exceptions.ProfileNotFound:
                    raise SettingsError(
                        f"AWS's configuration has no profile {self._profile!r}",
                        where="aws.profile (FINOPS_AWS__PROFILE)",
                        fix="Name one of `aws configure list-profiles`, or leave it empty.",
                    ) from None
                for role in filter(None, (self._role, role_arn)):
                    session = self._assumed(session, role)
                self._sessions[role_arn] = session
            return self._sessions[role_arn]

    def _assumed(self, session: boto3.Session, role_arn: str) -> boto3.Session:
        """A session as another role, whose credentials are renewed before they expire."""
        import boto3
        import botocore.session
        from botocore.credentials import DeferredRefreshableCredentials, create_assume_role_refresher

        region = session.region_name
        sts = session.client("sts", region_name=region or "us-east-1", endpoint_url=self._endpoint or None)
        refresh = create_assume_role_refresher(sts, {"RoleArn": role_arn, "RoleSessionName": "finops-assets"})
        inner = botocore.session.get_session()
        # botocore has no public way to give a session credentials that renew themselves.
        inner._credentials = DeferredRefreshableCredentials(refresh, "assume-role")  # noqa: SLF001
        return boto3.Session(botocore_session=inner, region_name=region)


@contextmanager
def explained(action: str, *, where: str = "", fixes: Mapping[str, str] | None = None) -> Iterator[None]:
    """Turn botocore's errors into errors for people.

    Args:
        action: the IAM action of the call, `glue:GetTables`.
        where: the setting or resource that the call is about.
        fixes: error code -> what to do about it.

    Raises:
        AwsError: AWS answered with an error, named in `code`.
        FinopsError: AWS was not reached, or there are no credentials.
    """
    import botocore.exceptions as aws

    try:
        yield
    except aws.ClientError as error:
        raise from_client_error(error, action, where=where, fixes=fixes) from None
    except (
        aws.NoCredentialsError,
        aws.PartialCredentialsError,
        aws.CredentialRetrievalError,
        aws.TokenRetrievalError,
        aws.SSOError,
    ) as error:
        raise FinopsError(
            f"{NO_CREDENTIALS} ({error})",
            where=f"{action} (aws.profile, aws.role_arn)",
            fix=LOG_IN,
        ) from None
    except (aws.EndpointConnectionError, aws.ConnectTimeoutError, aws.HTTPClientError) as error:
        raise FinopsError(
            f"AWS was not reached ({error})",
            where=f"{action} (aws.region, aws.endpoint_url)",
            fix="Check the region's name and the network; run it again.",
        ) from None


def from_client_error(error: Any, action: str, *, where: str = "", fixes: Mapping[str, str] | None = None) -> AwsError:
    """AWS's error answer (botocore's ClientError) as an error for people."""
    code = error.response["Error"].get("Code", "")
    message = (error.response["Error"].get("Message", "") or code).rstrip(".")
    if fixes and code in fixes:
        return AwsError(message, code=code, where=where or action, fix=fixes[code])
    if code in DENIED or "not authorized to perform" in message:
        named = re.search(DENIAL, message)
        denied, resource = (named[1], named[2] or where) if named else (action, where)
        return AwsError(
            f"permission denied: {message}",
            code=code,
            where=where or action,
            fix=f"Allow {denied}" + (f" on {resource}" if resource else "") + " in the IAM policy of the role.",
        )
    if code in EXPIRED:
        return AwsError(
            f"the credentials are no longer valid ({code}: {message})",
            code=code,
            where=action,
            fix="Log in again (`aws sso login`), or renew the keys; then run it again.",
        )
    return AwsError(f"{code}: {message}", code=code, where=where or action, fix=retries.FIXES.get(code, ""))

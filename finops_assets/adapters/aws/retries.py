"""Which errors of AWS are temporary, and how long to wait before the next try: the one place that decides it.

boto3's standard mode already repeats calls that were throttled, that failed inside AWS (HTTP 500 to 504) or whose
connection broke. It gives up at once where two writers met (ConcurrentModificationException), and at internal errors
that come with another status: `retry_temporary` adds those to a client. Errors of single entries in the answer to a
batch call are no error of the call: their adapter asks `is_temporary` and waits for `pause` seconds.

Sending mail does not belong here: after an unknown outcome nothing is sent again (decision 6).
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from typing import Any

THROTTLED = frozenset(
    (
        "RequestLimitExceeded",
        "RequestThrottled",
        "SlowDown",
        "ThrottledException",
        "Throttling",
        "ThrottlingException",
        "TooManyRequestsException",
    )
)
"""AWS has too much to do for this account. boto3 repeats these, and LimitExceededException, which is not here: of
QuickSight and SES it means a quota of the day, which waiting does not give back."""

CONCURRENT = frozenset(
    (
        "ConcurrentAccessException",
        "ConcurrentModificationException",
        "ConditionalRequestConflict",
        "ConflictException",
        "OperationAborted",
        "ResourceConflictException",
    )
)
"""Somebody else changes the same thing at this moment; the call changed nothing."""

INTERNAL = frozenset(
    (
        "InternalError",
        "InternalFailure",
        "InternalFailureException",
        "InternalServerError",
        "InternalServerException",
        "InternalServiceException",
        "OperationTimeoutException",
        "ServiceUnavailable",
        "ServiceUnavailableException",
    )
)
"""AWS failed by itself."""

FIXES: Mapping[str, str] = {
    **dict.fromkeys(THROTTLED, "AWS refused every try of it: run it again later, when less is asked of the account."),
    **dict.fromkeys(CONCURRENT, "It met with somebody else's change at every try: run it again when that is done."),
    **dict.fromkeys(INTERNAL, "AWS failed at every try: run it again later; health.aws.amazon.com knows of outages."),
}
"""What to do about an error that did not pass in time."""

ATTEMPTS = 6
LONGEST_PAUSE = 20.0
"""Tries of a call or of a batch's failed entries, and seconds of the longest wait: 31 s of waiting at most. Glue's
concurrent changes take seconds; a longer wait than half a minute is reported instead."""


def is_temporary(code: str) -> bool:
    """Whether a call that failed with this code may succeed when it is repeated."""
    return code in FIXES


def pause(attempt: int) -> float:
    """Seconds to wait after this failed attempt (1 is the first): doubling; the jitter parts writers that have met."""
    return random.uniform(0.5, 1) * min(2.0 ** (attempt - 1), LONGEST_PAUSE)  # noqa: S311  (jitter, not a secret)


def retry_temporary(client: Any, sleep: Callable[[float], None]) -> None:
    """Make a boto3 client repeat calls after temporary errors that boto3 itself does not repeat.

    It answers botocore's event `needs-retry`, as botocore's own retries do; both count the same attempts.

    Args:
        client: the client; each of its operations must be safe to repeat after an error.
        sleep: waits so many seconds.
    """

    def needs_retry(attempts: int, response: Any, **_: Any) -> float | None:
        if response is None:
            return None
        http, answer = response
        code = answer.get("Error", {}).get("Code", "")
        # boto3 waits by itself for throttling and for failures of the server: its wait is not doubled.
        if code not in CONCURRENT | INTERNAL or http.status_code >= 500 or attempts >= ATTEMPTS:
            return None
        sleep(pause(attempts))
        return 0.0

    client.meta.events.register("needs-retry", needs_retry)

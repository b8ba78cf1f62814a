"""Checks that only doctor needs permissions for."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from finops_assets.adapters.aws.session import DENIED, AwsError
from finops_assets.core.errors import FinopsError
from finops_assets.core.findings import Finding, error_finding


def unless_denied(name: str, findings: Iterable[Finding]) -> Iterator[Finding]:
    """As `findings_of`, for calls that only doctor makes: the platform works without a permission to them."""
    try:
        yield from findings
    except AwsError as error:
        denied = error.code in DENIED or "permission denied" in error.what
        yield error_finding(name, error, "skip" if denied else "fail")
    except FinopsError as error:
        yield error_finding(name, error)

"""A finding: what one check found, its state, and what to do about it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Literal

from finops_assets.core.errors import FinopsError
from finops_assets.core.text import sentence

State = Literal["ok", "warn", "fail", "skip"]


WORDS = {"ok": "ok", "warn": "warned", "fail": "failed", "skip": "skipped"}


NAME_WIDTH = 17
"""The longest name of a check, `configuration set`: lines are written as they are found, and aligned all the same."""


@dataclass(frozen=True)
class Finding:
    """What one check found; `fix` says what to do about it, in the imperative.

    `skip` is what was not checked: not set, not permitted, or pointless after an earlier finding.
    """

    name: str
    state: State
    detail: str
    fix: str = ""


def findings_of(name: str, findings: Iterable[Finding]) -> Iterator[Finding]:
    """The findings of a check; an error that ends it becomes the last one. A defect is not caught."""
    try:
        yield from findings
    except FinopsError as error:
        yield error_finding(name, error)


def error_finding(name: str, error: FinopsError, state: State = "fail") -> Finding:
    """An error as a finding."""
    detail = f"{error.where}: {error.what}" if error.where else error.what
    return Finding(name, state, " ".join(detail.split()), error.fix)


def as_line(finding: Finding) -> str:
    """`ok    bucket             finops-archive in us-east-1`, and below it what to do, if anything is to be done."""
    line = f"{finding.state:<4}  {finding.name:<{NAME_WIDTH}}  {sentence(finding.detail)}"
    return f"{line}\n{'':<6}Fix: {sentence(finding.fix)}" if finding.fix else line


def as_record(finding: Finding) -> dict[str, str]:
    """The finding for programs."""
    return asdict(finding)


def verdict(findings: Sequence[Finding]) -> str:
    """`23 checks: 20 ok, 1 warned, 2 failed`."""
    counted = {state: sum(finding.state == state for finding in findings) for state in WORDS}
    return f"{len(findings)} checks: " + ", ".join(f"{n} {WORDS[state]}" for state, n in counted.items() if n)

"""OUs as paths: what lies in what. `Workloads/Prod` is in `Workloads`."""

from __future__ import annotations

ALL = "All"
"""The whole organization."""


def within(ou: str, whole: str) -> bool:
    """Whether an OU is `whole` or lies below it; `All` is no path, and has to be handled by the caller."""
    return ou == whole or ou.startswith(f"{whole}/")


def lineage(ou: str) -> list[str]:
    """An OU and those above it, the topmost first."""
    return [ou[:at] for at, character in enumerate(ou) if character == "/"] + [ou]

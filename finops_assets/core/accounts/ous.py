"""OUs as paths: what lies in what. `Workloads/Prod` is in `Workloads`."""

from __future__ import annotations

from finops_assets.core.schemas import UNASSIGNED

ALL = "All"
"""The whole organization."""

ROOT = "Root"
"""Accounts directly below the root of an organization."""


def not_ours(path: str) -> str:
    """A customer's path of an OU that begins with a word of ours gets a name of its own: `All/a` is `All (OU)/a`.

    `All` is the whole organization, and `Unassigned` the accounts that the map does not know.
    """
    top, slash, below = path.partition("/")
    return f"{top} (OU){slash}{below}" if top in (ALL, UNASSIGNED) else path


def within(ou: str, whole: str) -> bool:
    """Whether an OU is `whole` or lies below it; `All` is no path, and has to be handled by the caller."""
    return ou == whole or ou.startswith(f"{whole}/")


def lineage(ou: str) -> list[str]:
    """An OU and those above it, the topmost first."""
    return [ou[:at] for at, character in enumerate(ou) if character == "/"] + [ou]

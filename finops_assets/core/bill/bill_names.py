"""The names of several bills, as settings, variables of the environment and errors have them."""

from __future__ import annotations

import re


def is_bill_name(text: str) -> bool:
    """Whether a text can name a bill: letters, digits, and `-`, `_`, `.` or blanks between them, 40 at most."""
    return bool(re.fullmatch(r"[A-Za-z0-9]([\w .-]{0,38}[A-Za-z0-9])?", text, re.ASCII))


def bill_key(name: str) -> str:
    """A bill's name as its settings have it: `Payer-1` -> `payer_1`, as in FINOPS_BILL__PAYER_1__PATH."""
    return re.sub(r"[^a-z0-9]+", "_", name.lower())

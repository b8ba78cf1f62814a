"""E-mail addresses: which ones mail servers take. Settings are held to this when they are read."""

from __future__ import annotations

import re
import unicodedata
from typing import TYPE_CHECKING

from finops_assets.core.errors import SettingsError

if TYPE_CHECKING:
    from email.headerregistry import Address

_ATOM = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+"
_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_DOMAIN = rf"{_LABEL}(?:\.{_LABEL})*"
_ADDRESS = re.compile(rf"({_ATOM}(?:\.{_ATOM})*)@({_DOMAIN})")
_NAMED = re.compile(r'"?([^"<>\r\n]*?)"?\s*<([^<>]*)>')

HOW = "Write it as name@example.com, in plain ASCII letters (a domain in its xn-- form)."


def is_mail_address(text: str) -> bool:
    """Whether mail servers take it: `finops@example.com` or `FinOps <finops@example.com>`."""
    return _parts(text) is not None


def is_domain(text: str) -> bool:
    """Whether it is the domain of an address, such as `example.com`."""
    return re.fullmatch(_DOMAIN, text) is not None


def mail_address(text: str, setting: str) -> Address:
    """An address, `finops@example.com` or `FinOps <finops@example.com>`.

    Args:
        text: the address.
        setting: where it stands, for the error.

    Raises:
        SettingsError: it is not one that mail servers take; the message names the address and the setting.
    """
    from email.headerregistry import Address

    parts = _parts(text)
    if parts is None:
        raise SettingsError(f"{text!r} is not an e-mail address", where=setting, fix=HOW)
    name, username, domain = parts
    return Address(display_name=name, username=username, domain=domain)


def _parts(text: str) -> tuple[str, str, str] | None:
    """Display name, user and domain; None where it is no address."""
    named = _NAMED.fullmatch(text.strip(" "))
    name, spec = named.groups() if named else ("", text.strip(" "))
    match = _ADDRESS.fullmatch(spec)
    if (
        not match
        or len(match[1]) > 64
        or len(spec) > 254
        or any(unicodedata.category(c) in ("Cc", "Zl", "Zp") for c in name)
    ):
        return None
    return name, match[1], match[2]

"""The kinds of values that settings have: what each may be, checked when it is read; and how one is shown in an error.

What would fail in the last step of a run, or inside a library, is refused here. Nothing is asked of the network.
"""

from __future__ import annotations

import ipaddress
import json
import re
import unicodedata
from datetime import date
from typing import Annotated, Any
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, SecretStr

from finops_assets.core.addresses import HOW, is_domain, is_mail_address
from finops_assets.core.cron import parse_cron

LEAST_MEMORY, MOST_MEMORY = 64_000_000, 1_000_000_000_000_000
"""Bytes: with less, DuckDB does not start a query; more is a slip."""

UNITS = {"K": 1, "M": 2, "G": 3, "T": 4}
UNCLEAN = ("Cc", "Zl", "Zp", "Cs")
"""Unicode's categories of control characters, line and paragraph ends, and bytes that are no text."""

SECRET = "a value that is not shown"  # noqa: S105  (a word for one)


def is_clean(value: Any) -> Any:
    """The value, if its text is one line that can be written down.

    Raises:
        ValueError: it has a line end or another control character, which would end a mail's header, or bytes that are
            no text.
    """
    parts = [value.get_secret_value()] if isinstance(value, SecretStr) else [value]
    while parts:
        part = parts.pop()
        if isinstance(part, dict):
            parts += [*part, *part.values()]
        elif isinstance(part, list | tuple):
            parts += part
        elif isinstance(part, str) and any(unicodedata.category(c) in UNCLEAN for c in part if c != "\t"):
            raise ValueError("must be one line of text, without control characters")
    return value


def listed(value: Any) -> Any:
    """A list of the environment: JSON, or separated by commas."""
    if not isinstance(value, str):
        return value
    if value.lstrip().startswith("["):
        try:
            return json.loads(value)
        except ValueError:
            raise ValueError("must be a JSON list, or addresses separated by commas") from None
    return tuple(part.strip() for part in value.split(",") if part.strip())


def _is_address(value: str) -> str:
    if not is_mail_address(value):
        raise ValueError(f"must be an e-mail address. {HOW.removesuffix('.')}")
    return value


def _is_address_or_domain(value: str) -> str:
    named = "<" in value
    if named or not (is_domain(value[1:]) if value.startswith("@") else is_mail_address(value)):
        raise ValueError(f"must be addresses, or domains such as @example.com: {value!r} is neither")
    return value


def _is_web_address(value: str, example: str = "https://dagster.example.com") -> str:
    """The value, if it is empty or an address of http or https.

    A login in it is refused, as it would be printed with it, and urllib does not use it.
    """
    if not value:
        return value
    wrong = ValueError(f"must be an address such as {example}")
    try:
        parts = urlsplit(value)
        port = parts.port
    except ValueError:  # its port is none, or its brackets do not match
        raise wrong from None
    if not re.fullmatch(r"https?://[\x21-\x7e]+", value) or not _is_host(parts.hostname or "") or port == 0:
        raise wrong
    if "@" in parts.netloc:
        raise ValueError("must have no user and password in it")
    return value


def _is_secret_web_address(value: SecretStr) -> SecretStr:
    _is_web_address(value.get_secret_value(), "https://hc-ping.com/0123abcd")
    return value


def _is_host(value: str) -> bool:
    try:
        ipaddress.ip_address(value)
    except ValueError:
        # Names of a Compose network may have an underscore.
        return is_domain(value.removesuffix(".").replace("_", "-"))
    return True


def _is_host_or_empty(value: str) -> str:
    if value and not _is_host(value):
        raise ValueError("must be the name of a server, such as smtp.example.com, without port")
    return value


def memory_bytes(value: str) -> int:
    """`800MB` -> 800,000,000.

    Raises:
        ValueError: it is no size.
    """
    parts = re.fullmatch(r"(\d{1,15}(?:\.\d{1,15})?) ?([KMGT])(i?)B", value, re.ASCII)
    if not parts:
        raise ValueError("must be a size such as 800MB or 2GB")
    return int(float(parts[1]) * (1024 if parts[3] else 1000) ** UNITS[parts[2]])


def _is_size(value: str) -> str:
    size = memory_bytes(value)
    if not LEAST_MEMORY <= size <= MOST_MEMORY:
        raise ValueError("must be a size such as 800MB or 2GB, at least 64MB")
    return value


def _matching(pattern: str, what: str) -> AfterValidator:
    """Holds a text that may be empty to a pattern; `what` says what it must be."""

    def check(value: str) -> str:
        if value and not re.fullmatch(pattern, value, re.ASCII):
            raise ValueError(f"must be {what}")
        return value

    return AfterValidator(check)


def _is_bucket(value: str) -> str:
    shape = re.fullmatch(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]", value, re.ASCII)
    if value and (not shape or ".." in value or re.fullmatch(r"[\d.]+", value)):
        raise ValueError("must be the name of a bucket alone, such as finops-archive")
    return value


def _is_namespace(value: str) -> str:
    if value and (not re.fullmatch(r"[\w.\-/#: ]{1,255}", value, re.ASCII) or value.startswith(("AWS/", ":"))):
        raise ValueError(
            "must be a CloudWatch namespace, such as FinopsAssets; those that begin with AWS/ are AWS's own"
        )
    return value


MailAddress = Annotated[str, AfterValidator(_is_address)]
AddressOrDomain = Annotated[str, AfterValidator(_is_address_or_domain)]
WebAddress = Annotated[str, AfterValidator(_is_web_address)]
SecretWebAddress = Annotated[SecretStr, AfterValidator(_is_secret_web_address)]
Host = Annotated[str, AfterValidator(_is_host_or_empty)]
Size = Annotated[str, AfterValidator(_is_size)]

Region = Annotated[str, _matching(r"[a-z]{2,}(-[a-z]+)+-\d+", "a region such as eu-central-1")]
BucketName = Annotated[str, AfterValidator(_is_bucket)]
Workgroup = Annotated[str, _matching(r"[\w.-]{1,128}", "the name of an Athena workgroup")]
Key = Annotated[str, _matching(r"[\w-]{1,512}", "an id of letters, digits, - and _")]
CurrencyCode = Annotated[str, _matching("[A-Z]{3}", "an ISO 4217 code such as USD or EUR, or empty")]
AccountId = Annotated[str, _matching(r"\d{12}", "an account id of 12 digits")]
Namespace = Annotated[str, AfterValidator(_is_namespace)]
RoleArn = Annotated[
    str,
    _matching(r"arn:aws[\w-]*:iam::\d{12}:role/[\w+=,.@/-]+", "the ARN of a role: arn:aws:iam::111122223333:role/name"),
]
TopicArn = Annotated[
    str,
    _matching(
        r"arn:aws[\w-]*:sns:[a-z0-9-]+:\d{12}:[\w-]{1,256}",
        "the ARN of a topic: arn:aws:sns:eu-west-1:111122223333:name",
    ),
]


def shown(model: type[BaseModel], setting: str, value: Any) -> str:
    """A refused value as an error shows it: a secret, or what may have one in it, is not shown.

    Args:
        model: the settings.
        setting: its dotted name.
        value: what was given.
    """
    annotation: Any = model
    for name in setting.split("."):
        field = getattr(annotation, "model_fields", {}).get(name)
        annotation = field.annotation if field else None
    plain = isinstance(value, str | bool | int | float | date)
    has_login = isinstance(value, str) and re.search(r"://[^/?#]*@", value)
    if annotation is SecretStr or not plain or has_login:
        return SECRET
    text = repr(value)
    return text if len(text) <= 200 else f"{text[:199]}…"


def _is_cron(value: str) -> str:
    return parse_cron(value).text


def _is_daily_cron(value: str) -> str:
    cron = parse_cron(value)
    if not cron.at_most_once_a_day:
        raise ValueError("must fire at most once a day: the checks compare the newest day with a limit of 24 hours")
    return cron.text


Cron = Annotated[str, AfterValidator(_is_cron)]


DailyCron = Annotated[str, AfterValidator(_is_daily_cron)]

"""Who bills: the providers that a bill names, and the words for them that every text uses.

A bill names them by FOCUS's ProviderName, or what takes its place (ServiceProviderName since FOCUS 1.3, else
InvoiceIssuerName); the setting bill.provider wins. A bill that names none, such as a Cost and Usage Report, is AWS's.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping

AWS = "AWS"
COLUMNS = ("providername", "serviceprovidername", "invoiceissuername")
"""FOCUS's columns that name the provider, the best first."""

MOST_NAMED = 3
"""More providers are called the cloud: a title has room for so many."""

FACT = "providers"
"""The entry of an archived day's metadata that lists its providers; absent where AWS alone bills."""


def provider_name(named: str) -> str:
    """A provider as texts call it: invoices of AWS come from Amazon Web Services, Inc., EMEA SARL and others."""
    name = " ".join(named.split())
    if not name or name.lower().startswith(("amazon", "aws")):
        return AWS
    return name


def is_aws_sql(column: str) -> str:
    """The SQL of whether `provider_name` of a column is AWS, in Athena's dialect; NULL where it names nobody."""
    name = f"LOWER(TRIM({column}))"
    return f"CASE WHEN {column} <> '' THEN {name} LIKE 'aws%' OR {name} LIKE 'amazon%' END"


def providers_of(named: Iterable[str | None]) -> tuple[str, ...]:
    """Each provider once, by name."""
    return tuple(sorted({provider_name(name or "") for name in named}))


def providers_fact(providers: tuple[str, ...]) -> dict[str, str]:
    """What the archive says of a day's providers: nothing where AWS alone bills, as of days before others could."""
    return {FACT: json.dumps(providers)} if set(providers) - {AWS} else {}


def archived_providers(days: Iterable[Mapping[str, str]]) -> tuple[str, ...]:
    """The providers of archived days, by their metadata; a day without lines names none."""
    with_lines = (metadata for metadata in days if metadata.get("source_lines") != "0")
    return providers_of(name for metadata in with_lines for name in json.loads(metadata.get(FACT, f'["{AWS}"]')))


def providers_in_words(providers: Iterable[str], many: str = "the providers") -> str:
    """`AWS`, `AWS and Microsoft`; `many` where they are too many to name."""
    names = sorted(set(providers)) or [AWS]
    if len(names) > MOST_NAMED:
        return many
    return " and ".join(filter(None, (", ".join(names[:-1]), names[-1])))


def cost_in_words(providers: Iterable[str]) -> str:
    """`AWS cost`, `AWS and Microsoft cost`, `Cloud cost`."""
    return f"{providers_in_words(providers, 'Cloud')} cost"

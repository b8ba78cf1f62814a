"""What a bill is like: who bills whom, how long its usage lines are, and how its account ids are written.

It is for people who look at their bill (`finops doctor`): nothing is decided by it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from datetime import date
from typing import Any

from finops_assets.core.bill.bill_format import NO_TEXT, BillFormat, Columns, text_sql
from finops_assets.core.bill.charges import EARLIEST, LATEST, charge_expressions, in_days, named_in
from finops_assets.core.bill.payers import payer_id
from finops_assets.core.bill.providers import provider_name
from finops_assets.core.bill.rules import Rules
from finops_assets.core.values import BillProfile

LENGTHS = {"hour": "hourly", "day": "daily", "longer": "longer than a day"}


def profile_sql(fmt: BillFormat, columns: Columns, rules: Rules, since: date, table: str = "bill") -> str:
    """One scan of few columns of the days from `since` on, in Athena's dialect; `bill_profile` reads its rows."""
    charge = charge_expressions(fmt, columns, rules)
    payer = text_sql(fmt.payer) if fmt.payer in columns else NO_TEXT
    length = NO_TEXT
    if fmt.metered is not None and fmt.end in columns:
        hours = f"date_diff('hour', {fmt.start}, {fmt.end})"
        length = (
            f"CASE WHEN NOT ({fmt.metered(columns)}) THEN {NO_TEXT} WHEN {hours} <= 1 THEN 'hour' "
            f"WHEN {hours} <= 24 THEN 'day' ELSE 'longer' END"
        )
    accounts = [text_sql(name) for name in fmt.accounts if name in columns]
    written = f"COALESCE({', '.join(accounts)}, {NO_TEXT})" if accounts else NO_TEXT
    return f"""SELECT provider, payer, length, COUNT(*) AS lines,
    COUNT(CASE WHEN written <> account THEN 1 END) AS rewritten,
    MIN(CASE WHEN written <> account THEN written END) AS example
FROM (
    SELECT {charge["provider"]} AS provider, {payer} AS payer, {length} AS length, {written} AS written,
        {charge["linkedaccount"]} AS account
    FROM {table}
    WHERE {in_days(fmt, since, LATEST)}
) AS lines
GROUP BY provider, payer, length"""


def profile_columns(fmt: BillFormat, columns: Columns, rules: Rules) -> tuple[str, ...]:
    """Those of the columns that `profile_sql` reads."""
    return named_in(profile_sql(fmt, columns, rules, EARLIEST), columns)


def bill_profile(rows: Iterable[tuple[Any, ...]], learned: int) -> BillProfile:
    """The rows of `profile_sql` as a record.

    Args:
        rows: of it.
        learned: see BillProfile.
    """
    payers: dict[str, set[str]] = {}
    lengths: Counter[str] = Counter()
    lines = rewritten = 0
    examples = []
    for provider, payer, length, count, otherwise, example in rows:
        payers.setdefault(provider_name(provider or ""), set()).add(payer_id(payer or ""))
        lines += count
        rewritten += otherwise
        if length:
            lengths[length] += count
        if example:
            examples.append(example)
    return BillProfile(
        payers={provider: tuple(sorted(of)) for provider, of in sorted(payers.items())},
        lengths={name: lengths[name] for name in LENGTHS if lengths[name]},
        lines=lines,
        rewritten=rewritten,
        example=min(examples, default=""),
        learned=learned,
    )


def combined_profile(profiles: Iterable[BillProfile]) -> BillProfile:
    """Several bills as one."""
    several = list(profiles)
    payers: dict[str, set[str]] = {}
    lengths: Counter[str] = Counter()
    for of in several:
        for provider, accounts in of.payers.items():
            payers.setdefault(provider, set()).update(accounts)
        lengths.update(of.lengths)
    return BillProfile(
        payers={provider: tuple(sorted(accounts)) for provider, accounts in sorted(payers.items())},
        lengths={name: lengths[name] for name in LENGTHS if lengths[name]},
        lines=sum(of.lines for of in several),
        rewritten=sum(of.rewritten for of in several),
        example=min((of.example for of in several if of.example), default=""),
        learned=sum(of.learned for of in several),
    )

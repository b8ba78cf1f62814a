"""The section of the bill: one export, or several, and the rules that are of all of them."""

from __future__ import annotations

import re
from datetime import date
from typing import Literal

from pydantic import Field, field_validator

from finops_assets.core.bill.bill_names import is_bill_name
from finops_assets.settings.kinds import CurrencyCode
from finops_assets.settings.paths import LocalPath
from finops_assets.settings.section import Section

Format = Literal["auto", "focus", "cur2", "cur", "summary"]


CostBasis = Literal["billed", "effective", "unblended", "net_unblended", "net_amortized"]


class BillEntry(Section):
    """One export: what is set of each bill where there are several."""

    path: LocalPath = Field(
        "", description="The bill: one file, a folder, or a Data Exports folder. Required on the embedded platform."
    )
    table: str = Field(
        "", description="The bill's table in Athena, `database.table`. Required on AWS, where `bill.path` is not used."
    )
    format: Format = Field("auto", description="`focus`, `cur2`, `cur` or `summary`; `auto` recognises the columns.")
    name: str = Field("", description="What the bill is called where there are several, such as `payer-1`.")
    provider: str = Field(
        "",
        max_length=100,
        description="Who bills, as texts name it. Empty: what the bill says (FOCUS's `ProviderName`), else `AWS`.",
    )
    last_day: date | None = Field(
        None,
        description="Last day of an export that has ended, where there are several bills: later days do not wait for "
        "it. Empty: it goes on.",
    )

    @field_validator("table")
    @classmethod
    def _qualified(cls, value: str) -> str:
        if value and not re.fullmatch(r"\w+\.\w+", value, re.ASCII):
            raise ValueError("must be database.table, such as billing.cur2")
        return value.lower()

    @field_validator("name")
    @classmethod
    def _plain_name(cls, value: str) -> str:
        if value and not is_bill_name(value):
            raise ValueError(
                "must be letters and digits, with - _ . or blanks between them, at most 40, such as payer-1"
            )
        return value


class BillSettings(BillEntry):
    """Where the bill is and how it is read."""

    cost_basis: CostBasis = Field(
        "billed",
        description="Which cost is shown: `billed`, `effective` (amortized), `unblended`, `net_unblended`, "
        "`net_amortized`; a bill that does not have it, or lacks a column that its lines need for it, is refused.",
    )
    currency: CurrencyCode = Field(
        "",
        description="Billing currency, e.g. `USD`. Empty: the bill's own, which must be one. Required for `summary`.",
    )
    include_tax: bool = Field(True, description="Count tax.")
    include_credits: bool = Field(True, description="Count credits.")
    include_refunds: bool = Field(True, description="Count refunds: in FOCUS one-time adjustments, no corrections.")
    complete_after_hours: float = Field(
        0.0,
        ge=0,
        le=72,
        description="Hours after the end of a day (UTC) from which on an export is taken to have all of it.",
    )
    stable_after: int = Field(
        3,
        ge=1,
        le=1000,
        description="Refreshes of the bill in a row that leave a day unchanged before it is called `stable`.",
    )
    change_closed_days: bool = Field(
        True,
        description="Take over what AWS changes of a closed month; else it is named, and archived on request only.",
    )
    # A number is taken for seconds since 1970: 20250901, which somebody may mean as a day, is a day of 1970.
    first_day: date = Field(
        date(2023, 1, 1), ge=date(2000, 1, 1), description="First day that the platform keeps a partition for."
    )
    # Made of `[[bill]]` by `settings.several_bills`; nobody writes it so.
    entries: dict[str, BillEntry] = Field({}, exclude=True, description="Each bill by its name, of several.")

    @property
    def bills(self) -> tuple[BillEntry, ...]:
        """Each bill; the only one is this section itself."""
        return tuple(self.entries.values()) or (self,)

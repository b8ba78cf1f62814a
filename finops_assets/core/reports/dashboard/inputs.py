"""What the dashboard page is made of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import TYPE_CHECKING

from finops_assets.core.bill.providers import AWS

if TYPE_CHECKING:
    from finops_assets.core.analytics.kept_parts import KeptParts
    from finops_assets.core.analytics.value_scores import ValueScore
    from finops_assets.core.archive.age import Age
    from finops_assets.core.archive.cost_history import HistoryByColumns
    from finops_assets.core.reports.dashboard.dimension_data import DimensionCosts
    from finops_assets.core.reports.dashboard.outlook import Outlook
    from finops_assets.core.reports.digest.front_page import FrontPage


@dataclass(frozen=True)
class DayNote:
    """What the archive says of a day beside its rows.

    Attributes:
        scheduled: the part of the day's cost that is not usage of it (tax, fees, credits, refunds).
        settlement: how final the day is: `provisional`, `stable` or `closed`; empty if that is not known.
        total: the exact total of the day's rows, scheduled charges included.
        providers: who bills it.
    """

    scheduled: Decimal
    settlement: str
    total: Decimal
    providers: tuple[str, ...] = (AWS,)


@dataclass(frozen=True)
class DashboardInputs:
    """What the page is made of.

    Attributes:
        costs: of the archived days of the page.
        day_notes: every archived day of the page. Days between the first and the last without a note are missing,
            which is not the same as zero.
        names: account id -> account name, as far as known.
        currency, cost_basis: e.g. `USD` and `billed`; they are shown wherever a number is.
        generated_for: the day that the page speaks for; days between the newest archived one and it are missing.
        max_cells: how many numbers (rows of OU, service and account, times days) may be embedded. Above that the
            smallest accounts of the page become `(other accounts)` of their OU and service; no total changes. There is
            never less than one row per OU and service, so that a very small limit may be exceeded.
        outlook: what is known beside the rows. It takes at most half of `max_cells`: earlier months give way first,
            then the oldest episodes; the page says what is left out. Each OU of the newest scorecard stays.
        age: how old the archive's data are, and how many days are missing: of the whole archive, not of the page alone.
        dimensions: costs by tags, cost categories and attributes of accounts: a quarter of `max_cells` more, at most.
        made_at: when the page is made (aware, UTC); with `age`, it is shown, and the page counts on from it.
        rates: the exchange rates that costs are shown by, in a sentence; empty where none is used.
        moved: the parts of what moved on the newest day, in the page's currency; None where they are not known.
        values: the scores of the newest day's values of dimensions that have a budget.
        front: what matters of the newest day, as its mail and its PDF say it; None where it is not known.
    """

    costs: HistoryByColumns
    day_notes: Mapping[date, DayNote]
    names: Mapping[str, str]
    currency: str
    cost_basis: str
    generated_for: date
    max_cells: int
    outlook: Outlook | None = None
    age: Age | None = None
    made_at: datetime | None = None
    dimensions: DimensionCosts | None = None
    rates: str = ""
    values: Sequence[ValueScore] = ()
    moved: KeptParts | None = None
    front: FrontPage | None = None

    @property
    def this_year(self) -> int | None:
        """The reader's year, if it is known when the page is made."""
        return self.made_at.year if self.made_at else None

    @property
    def unit(self) -> str:
        return f"{self.currency}, {self.cost_basis}"

"""An invented organization's AWS bill as Data Exports would deliver it: FOCUS 1.2 and CUR 2.0, with stories in it.

What belongs here is the made-up data and the writing of it, for the demo, the tests and the benchmarks; reading a
bill does not. The same last day and number of days give the same values on any machine. The data are in `organization`,
`catalog`, `commitments`, `spending` and `story_days`; `charge_lines` works the charges out, `focus_export` and
`cur2_export` lay them out, `exports` writes the files.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from pathlib import Path

__all__ = ["SampleBill", "write_sample_bill"]


@dataclass(frozen=True)
class SampleBill:
    """Where the sample is and what it holds.

    `focus` and `cur2` are the prefixes that an export is delivered under; `accounts` is the account-to-OU map,
    `budgets` what each OU may cost, `events` what was planned, all as CSV.
    `lines` counts the FOCUS export; CUR 2.0 writes some charges on more or fewer lines, to the same totals.
    """

    focus: Path
    cur2: Path
    accounts: Path
    budgets: Path
    events: Path
    first_day: date
    last_day: date
    lines: int
    stories: tuple[str, ...]


def write_sample_bill(folder: Path, last_day: date, days: int = 90) -> SampleBill:
    """Write the bill of `days` UTC days up to and including `last_day`, replacing a sample that is there.

    The folder appears whole or not at all, and one that holds anything else is refused rather than replaced.
    Amounts are USD, about 3,000 a day; the first and last month hold the days of the window only.
    """
    from finops_assets.stories.sample_bill.exports import write  # it loads NumPy and Arrow

    return write(Path(folder), last_day, days)

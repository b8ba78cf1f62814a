"""What is asked of the bill: its days, the summary by OU, the breakdown of a day, its accounts; each one SELECT."""

from __future__ import annotations

from collections.abc import Sequence

from finops_assets.core.bill.bill_format import BillFormat
from finops_assets.core.bill.charges import EARLIEST, LATEST
from finops_assets.core.schemas import UNASSIGNED


def survey_sql(fmt: BillFormat, table: str = "bill", by: Sequence[str] = ()) -> str:
    """One row for each billing currency of the whole bill: how many lines, and whether all have a date.

    Args:
        fmt: of the bill.
        table: the bill.
        by: expressions that part the rows further, and are their last columns.
    """
    earliest, latest = (f"TIMESTAMP '{day} 00:00:00'" for day in (EARLIEST, LATEST))
    parted = "".join(f", {expression} AS part_{number}" for number, expression in enumerate(by))
    groups = ", ".join(map(str, (1, *range(4, 4 + len(by)))))
    return f"""SELECT {fmt.currency or "''"} AS currency, COUNT(*) AS lines,
    COUNT(*) = COUNT({fmt.start}) AND MIN({fmt.start}) >= {earliest} AND MAX({fmt.start}) < {latest} AS dated{parted}
FROM {table} GROUP BY {groups} ORDER BY 1"""


def source_days_sql(charges: str) -> str:
    """What the bill says of each day, by currency, category and reason for leaving out; no OU is involved."""
    return f"""SELECT charge_date, currency, COALESCE(charge_category, '') AS charge_category, scheduled, left_out,
    COUNT(*) AS lines, COUNT(*) - COUNT(cost) AS without_cost, SUM(cost) AS total
FROM ({charges}) AS charges
GROUP BY charge_date, currency, COALESCE(charge_category, ''), scheduled, left_out
ORDER BY 1, 2, 3, 4, 5"""


def one_pass_sql(charges: str) -> str:
    """Both sums of the bill in one pass over it, for an engine that charges by the bytes it scans.

    Rows with of_source = 1 are those of `source_days_sql`; the others are the lines that count, summed by account,
    service and the bill's own OU, for `summary_sql` to join with the account map. The engine makes each kind from the
    lines themselves, so that the first proves the second.
    """
    return f"""SELECT charge_date, currency, charge_category, scheduled, left_out, ou, service, linkedaccount,
    GROUPING(linkedaccount) AS of_source, COUNT(*) AS lines, COUNT(*) - COUNT(cost) AS without_cost, SUM(cost) AS total
FROM ({charges}) AS charges
GROUP BY GROUPING SETS (
    (charge_date, currency, charge_category, scheduled, left_out),
    (charge_date, left_out, ou, service, linkedaccount)
)"""


def summary_sql(charges: str, account_map: str = "account_ou_map") -> str:
    """finops_daily_summary: billingdate, ou, service, linkedaccount, cost, through the effective-dated map.

    Lines are summed by account before the map is looked up: an account's day meets one row of the map, so the join
    can neither lose nor double money, and the reconciliation with `source_days_sql` proves it.
    """
    return f"""SELECT c.charge_date AS billingdate, COALESCE(c.ou, m.ou, '{UNASSIGNED}') AS ou, c.service,
    c.linkedaccount, c.cost
FROM (
    SELECT charge_date, ou, service, linkedaccount, SUM(cost) AS cost
    FROM ({charges}) AS charges
    WHERE left_out IS NULL
    GROUP BY charge_date, ou, service, linkedaccount
) AS c
LEFT JOIN {account_map} AS m
    ON c.linkedaccount = m.account_id AND c.charge_date >= m.valid_from AND c.charge_date < m.valid_to"""


def breakdown_sql(summary: str) -> str:
    """The day's OU x Service x LinkedAccount cost, in archive order; `cost` is exact, `dailycost` its double."""
    return f"""SELECT billingdate, ou, service, linkedaccount, CAST(SUM(cost) AS DOUBLE) AS dailycost, SUM(cost) AS cost
FROM ({summary}) AS finops_daily_summary
GROUP BY billingdate, ou, service, linkedaccount
ORDER BY billingdate, ou, service, linkedaccount"""


def fingerprints_sql(breakdown: str) -> str:
    """A line a day of a breakdown: its rows' fingerprint (`core.archive.breakdown`), number and exact total."""
    names = ", ".join(f"'\"', REPLACE({name}, '\"', '\"\"'), '\",'" for name in ("ou", "service", "linkedaccount"))
    row = f"CONCAT({names}, CAST(CAST(cost * 1000000000000 AS DECIMAL(38, 0)) AS VARCHAR), CHR(10))"
    rows = f"ARRAY_JOIN(ARRAY_AGG({row} ORDER BY ou, service, linkedaccount), '')"
    return f"""SELECT billingdate, LOWER(TO_HEX(SHA256(TO_UTF8({rows})))) AS fingerprint, SUM(cost) AS total,
    COUNT(*) AS row_count
FROM ({breakdown}) AS ou_breakdown
GROUP BY billingdate
ORDER BY billingdate"""


def accounts_sql(charges: str) -> str:
    """The linked accounts that the bill names, each with its newest name."""
    return f"""SELECT linkedaccount AS account_id, COALESCE(MAX_BY(account_name, charge_date), '') AS account_name
FROM ({charges}) AS charges GROUP BY linkedaccount ORDER BY 1"""

"""Each Savings Plan and reservation of a day as sums: what is used of it, what is not, what that would cost on demand.

The columns of a charge that they are made of are NULL on lines of no commitment:

    commitment_id     its ARN or id, or NOT_NAMED
    commitment_kind   as `core.bill.bill_format` names the kinds
    commitment_end    its last day, where the line tells
    ondemand          what covered usage would cost on demand, where the line tells
"""

from __future__ import annotations

from finops_assets.core.bill.bill_format import NO_DATE, NO_MONEY, NO_TEXT, BillFormat, Columns, Commitments, quoted
from finops_assets.core.schemas import MONEY_SQL

COVERED, UNUSED, UNCOMMITTED = "covered", "unused", "none"
"""What a line is to a commitment: the charge's column `commitment`."""

NOT_NAMED = "(not named)"

COMMITMENT_KEYS = ("charge_date", "left_out", "linkedaccount", "commitment", "commitment_kind", "commitment_id")
"""The columns by which sums are kept apart, so that commitments can be told of them."""

COMMITMENT_SUMS = """CASE WHEN COUNT(*) = COUNT(ondemand) THEN SUM(ondemand) END AS ondemand,
    MAX(commitment_end) AS commitment_end"""
"""Further sums; what covered usage would cost on demand is not known where one of its lines does not tell."""


def tells_commitments(fmt: BillFormat, columns: Columns) -> bool:
    """Whether a bill with these columns can name commitments."""
    return fmt.commitments is not None and fmt.commitments(columns) is not None


def commitment_expressions(told: Commitments | None) -> dict[str, str]:
    """The columns of a charge that tell of its commitment, as SQL over the bill's columns."""
    if told is None:
        return {
            "commitment_id": NO_TEXT,
            "commitment_kind": NO_TEXT,
            "commitment_end": NO_DATE,
            "ondemand": NO_MONEY,
        }
    of_one = f"{told.covered} OR {told.unused}"
    return {
        "commitment_id": f"CASE WHEN {of_one} THEN COALESCE(NULLIF({told.id}, ''), {quoted(NOT_NAMED)}) END",
        "commitment_kind": f"CASE WHEN {of_one} THEN {told.kind} END",
        "commitment_end": f"CASE WHEN {of_one} THEN {told.ends} END",
        "ondemand": f"CASE WHEN {told.covered} THEN {told.ondemand} ELSE CAST(0 AS {MONEY_SQL}) END",
    }


def commitments_sql(charges: str) -> str:
    """What each commitment costs on each day, by account: the columns of COMMITMENTS but `ou`.

    A cost that is not known of one line is NULL.

    Args:
        charges: as `charges_sql` selects them, with the columns of `core.bill.charge_kinds`; or their sums by
            COMMITMENT_KEYS.
    """
    zero = f"CAST(0 AS {MONEY_SQL})"

    def part(*of: str) -> str:
        total = f"SUM(CASE WHEN commitment IN ({', '.join(map(quoted, of))}) THEN effective ELSE {zero} END)"
        return f"CASE WHEN COUNT(*) = COUNT(effective) THEN {total} END"

    return f"""SELECT charge_date AS billingdate, commitment_id AS commitmentid, commitment_kind AS kind, linkedaccount,
    {part(COVERED, UNUSED)} AS committedcost, {part(COVERED)} AS usedcost, {part(UNUSED)} AS unusedcost,
    CASE WHEN COUNT(*) = COUNT(ondemand) THEN SUM(ondemand) END AS ondemandcost, MAX(commitment_end) AS expires
FROM ({charges}) AS charges
WHERE left_out IS NULL AND commitment IN ({quoted(COVERED)}, {quoted(UNUSED)})
GROUP BY charge_date, commitment_id, commitment_kind, linkedaccount
ORDER BY 1, 2, 3, 4"""

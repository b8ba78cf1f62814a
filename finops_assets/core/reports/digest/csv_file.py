"""The CSV of a day: every row, for spreadsheets as well as for programs."""

from __future__ import annotations

import csv
import io
import re
from typing import TYPE_CHECKING

from finops_assets.core.money import plain
from finops_assets.core.schemas import CSV_HEADER

if TYPE_CHECKING:
    import pyarrow as pa

    from finops_assets.core.reports.digest.figures import DigestFigures

_FORMULA = (*"=+-@＝＋－＠", "\t", "\r", "\n")
"""The full-width signs are those of East Asian keyboards, which a spreadsheet takes for the plain ones."""

_NOT_A_NUMBER = re.compile(r"0[0-9]+|[0-9]{16,}")
"""Digits that a spreadsheet would change, taking them for a number: it drops zeros in front, and keeps 15 digits."""


def csv_text(text: str) -> str:
    """Text as a cell of a CSV that is opened in a spreadsheet as well as read by programs.

    What would be run as a formula gets a `'` in front. Digits that would not survive as a number, such as the account
    id 012345678901, become the formula `="012345678901"`: a spreadsheet shows and saves the text, where a `'` or a tab
    would stay visible. A program sees the formula, and gets the id by `strip('="')`. All other ids are left as they
    are, although Excel shows 12 digits as 1.11122E+11 until the column is made wider or a number: the cell keeps all
    of them, and programs that read the file go on as before.
    """
    if _NOT_A_NUMBER.fullmatch(text):
        return f'="{text}"'
    return f"'{text}" if text.startswith(_FORMULA) else text


BILLS_HEADER = ("BillingDate", "Bill", "Provider", "Lines", "Cost", "Currency", "CostBasis")


def bills_csv(figures: DigestFigures) -> bytes:
    """What each of several bills has of the day: a row a bill, whose costs sum to those of `breakdown_csv`.

    It is a file beside that one: a row there may be of several bills, and programs that read it go on as before.
    """
    out = io.StringIO(newline="")
    writer = csv.writer(out, lineterminator="\r\n")
    writer.writerow(BILLS_HEADER)
    for of in figures.facts.bills:
        names = (figures.day.isoformat(), csv_text(of.name), csv_text(of.provider))
        writer.writerow((*names, of.lines, plain(of.total), figures.currency, figures.cost_basis))
    return out.getvalue().encode("utf-8-sig")


def breakdown_csv(rows: pa.Table) -> bytes:
    """Every row of the day for a spreadsheet: exact plain decimals, UTF-8 with a byte order mark, CRLF, RFC 4180.

    Excel reads UTF-8 only with the mark; Python's `utf-8-sig`, pandas and DuckDB skip it. Names and account ids are
    written by `csv_text`: an id that begins with 0 is `="012345678901"`, all others are plain. Costs are numbers, and
    untouched.
    """

    def texts(column: str) -> list[str]:
        return list(map(csv_text, rows[column].to_pylist()))

    out = io.StringIO(newline="")
    writer = csv.writer(out, lineterminator="\r\n")
    writer.writerow(CSV_HEADER)
    days = [day.isoformat() for day in rows["billingdate"].to_pylist()]
    costs = map(plain, rows["cost"].to_pylist())
    writer.writerows(zip(days, texts("ou"), texts("service"), texts("linkedaccount"), costs, strict=True))
    return out.getvalue().encode("utf-8-sig")

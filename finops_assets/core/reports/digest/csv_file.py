"""The CSV of a day: every row, for spreadsheets as well as for programs."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING

from finops_assets.core.money import plain
from finops_assets.core.schemas import CSV_HEADER

if TYPE_CHECKING:
    import pyarrow as pa

    from finops_assets.core.reports.digest.figures import DigestFigures

NO_NAMES: Mapping[str, str] = MappingProxyType({})

_FORMULA = (*"=+-@＝＋－＠", "\t", "\r", "\n")
"""The full-width signs are those of East Asian keyboards, which a spreadsheet takes for the plain ones."""


def csv_text(text: str) -> str:
    """Text as a cell of a CSV: what a spreadsheet would run as a formula gets a `'` in front, all else is as it is."""
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


def account_text(account: str, name: str = "") -> str:
    """An account as text that no spreadsheet takes for a number: `012345678901 (shop-prod)`, or `account 012345678901`.

    The id alone would lose its zeros, and from 12 digits on be shown as 1.11122E+11. A sign around it that keeps it as
    text (`="..."`, a `'`, a tab) would be read by programs as a part of the id, and quotes do not keep it.
    """
    return csv_text(f"{account} ({' '.join(name.split())})" if name.strip() else f"account {account}")


def breakdown_csv(rows: pa.Table, names: Mapping[str, str] = NO_NAMES) -> bytes:
    """Every row of the day for a spreadsheet: exact plain decimals, UTF-8 with a byte order mark, CRLF, RFC 4180.

    Excel reads UTF-8 only with the mark; Python's `utf-8-sig`, pandas and DuckDB skip it. LinkedAccount is the plain
    id, for programs; Account, the last column, has it as text, for spreadsheets. Costs are numbers, and untouched.

    Args:
        rows: of the day.
        names: account id -> name.
    """
    ous, services, accounts = (rows[column].to_pylist() for column in ("ou", "service", "linkedaccount"))
    out = io.StringIO(newline="")
    writer = csv.writer(out, lineterminator="\r\n")
    writer.writerow(CSV_HEADER)
    days = [day.isoformat() for day in rows["billingdate"].to_pylist()]
    writer.writerows(
        zip(
            days,
            map(csv_text, ous),
            map(csv_text, services),
            map(csv_text, accounts),
            map(plain, rows["cost"].to_pylist()),
            [account_text(account, names.get(account, "")) for account in accounts],
            strict=True,
        )
    )
    return out.getvalue().encode("utf-8-sig")

"""The daily digest: the figures of one day, and their rendering to HTML, text, CSV and an e-mail message.

Of the whole bill, or as an edition of one OU with what lies below it.

Pure: rows and facts come in, bytes go out. Storing and sending is `core.outbox`; drawing is `core.charts`. pyarrow and
Jinja are imported where they are used, so that the command line can import these modules for nothing.
"""

from finops_assets.core.accounts.ous import within
from finops_assets.core.reports.digest.edition import subtotals
from finops_assets.core.reports.digest.figures import (
    CHART_DAYS,
    Covered,
    DayFacts,
    Digest,
    DigestFigures,
    Late,
    OwnCost,
    chart_spec,
    digest_figures,
    month_chart_spec,
    scheduled_lines,
)
from finops_assets.core.reports.digest.message import CSV_NOTE, Link, message
from finops_assets.core.reports.digest.page import breakdown_csv, columns, csv_text, ou_hash, render
from finops_assets.core.reports.digest.words import UNKNOWN_DASHBOARD, dashboard_words, headline, subject

__all__ = [
    "CHART_DAYS",
    "CSV_NOTE",
    "UNKNOWN_DASHBOARD",
    "Covered",
    "DayFacts",
    "Digest",
    "DigestFigures",
    "Late",
    "Link",
    "OwnCost",
    "breakdown_csv",
    "chart_spec",
    "columns",
    "csv_text",
    "dashboard_words",
    "digest_figures",
    "headline",
    "message",
    "month_chart_spec",
    "ou_hash",
    "render",
    "scheduled_lines",
    "subject",
    "subtotals",
    "within",
]

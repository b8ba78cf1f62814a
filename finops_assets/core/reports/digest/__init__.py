"""The daily digest: the figures of one day, and their rendering to HTML, text, CSV and an e-mail message.

Of the whole bill, or as an edition of one OU with what lies below it, or of one value of a dimension.

Pure: rows and facts come in, bytes go out. `calculation` makes the `figures` that everything else words: `sentences`,
`matters`, `scores`, `reasons`; `pictures` has the charts, `page` fills the templates, `csv_file` and `message` make the
rest of the mail. Storing and sending belongs to `core.delivery`.
"""

from finops_assets.core.accounts.ous import within
from finops_assets.core.reports.digest.calculation import CHART_DAYS, COMPARED, DigestInputs, digest_figures
from finops_assets.core.reports.digest.csv_file import account_text, breakdown_csv, csv_text
from finops_assets.core.reports.digest.edition import ou_hash, subtotals
from finops_assets.core.reports.digest.figures import Covered, DayFacts, Digest, DigestFigures, Late, OwnCost
from finops_assets.core.reports.digest.front_page import FrontPage, front_page
from finops_assets.core.reports.digest.message import CSV_NOTE, Envelope, Link, message
from finops_assets.core.reports.digest.page import render
from finops_assets.core.reports.digest.pictures import PICTURES, chart_spec, month_chart_spec
from finops_assets.core.reports.digest.sentences import UNKNOWN_DASHBOARD, dashboard_words, headline, subject
from finops_assets.core.reports.digest.text_table import columns
from finops_assets.core.reports.digest.words import scheduled_lines

__all__ = [
    "CHART_DAYS",
    "COMPARED",
    "CSV_NOTE",
    "PICTURES",
    "UNKNOWN_DASHBOARD",
    "Covered",
    "DayFacts",
    "Digest",
    "DigestFigures",
    "DigestInputs",
    "Envelope",
    "FrontPage",
    "Late",
    "Link",
    "OwnCost",
    "account_text",
    "breakdown_csv",
    "chart_spec",
    "columns",
    "csv_text",
    "dashboard_words",
    "digest_figures",
    "front_page",
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

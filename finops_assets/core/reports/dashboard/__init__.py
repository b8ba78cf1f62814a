"""The dashboard page: one file that loads nothing else.

`inputs` are what it is made of, `data` is what it embeds (`amounts`, `tiles`, `outlook_data`), `page` puts the parts of
templates/dashboard together around it. `outlook` is what the archive knows beside the days' rows.
"""

from finops_assets.core.reports.dashboard.data import OTHER_ACCOUNTS, dashboard_data
from finops_assets.core.reports.dashboard.dimension_data import DimensionCosts
from finops_assets.core.reports.dashboard.inputs import DashboardInputs, DayNote
from finops_assets.core.reports.dashboard.outlook import Outlook, Restated, read_outlook, restated_days
from finops_assets.core.reports.dashboard.page import render

__all__ = [
    "OTHER_ACCOUNTS",
    "DashboardInputs",
    "DayNote",
    "DimensionCosts",
    "Outlook",
    "Restated",
    "dashboard_data",
    "read_outlook",
    "render",
    "restated_days",
]

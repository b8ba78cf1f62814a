"""The ids of what is put in place in QuickSight."""

from __future__ import annotations

SOURCE, THEME, DASHBOARD = "finops-athena", "finops-theme", "finops-costs"


BREAKDOWN, SCORECARD, PERMISSIONS = "finops-ou-breakdown", "finops-ou-scorecard", "finops-ou-permissions"
CHARGES = "finops-ou-charges"

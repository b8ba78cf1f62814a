"""Names that Dagster knows things by: assets, checks and jobs. Everything else refers to them from here."""

from __future__ import annotations

BILL = "billing_export"
MAP = "account_ou_map"
SUMMARY = "finops_daily_summary"
ARCHIVED = "ou_breakdown_parquet"
REGISTERED = "athena_partition"
SCORED = "ou_scorecard"
SNAPSHOT = "executive_snapshot"
SHOWN = "quicksight_dataset"
MAILED = "digest_email"
EVIDENCE = "monthly_evidence"

GROUPS = BILL_GROUP, ARCHIVE_GROUP, SCORE_GROUP, PUBLISHED_GROUP, EVIDENCE_GROUP = (
    "1_bill",
    "2_archive",
    "3_scores",
    "4_published",
    "5_evidence",
)
"""In the order of the flow: Dagster lists groups by their names."""

LOCATION = "finops_assets.definitions"
"""The code location: the module's name, as `dagster dev` calls it, and as deploy/workspace.yaml does."""

DAILY = (SUMMARY, ARCHIVED, REGISTERED, SCORED, SNAPSHOT, SHOWN, MAILED)
"""What a day is made into, in the order in which they depend on each other."""

MAP_IS_CURRENT = "account_map_is_current"
NOT_EMPTY = "no_day_empty"
UNASSIGNED = "unassigned_share_under_limit"
READS_BACK = "archive_reads_back"
PLAN_IS_USED = "budgets_and_events_are_used"
NOT_DOUBLED = "no_day_twice_as_dear"
IS_CURRENT = "dashboard_holds_the_archive"
IS_WHOLE = "month_is_whole"
WARNINGS = (UNASSIGNED, PLAN_IS_USED, NOT_DOUBLED)
"""Checks that hold nothing up."""

DAILY_JOB = "daily_bill"
CHECKS_JOB = "morning_checks"
DOCTOR_JOB = "check_up"
RESEND_JOB = "resend_digest"
VERIFICATION_JOB = "nightly_verification"
EVIDENCE_JOB = "monthly_bundle"  # Dagster gives no job the name of an asset

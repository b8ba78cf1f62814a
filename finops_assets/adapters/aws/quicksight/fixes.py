"""What to do about QuickSight's errors: of ingestions, of versions of the dashboard, and of requests."""

from __future__ import annotations

_RIGHTS = (
    "In QuickSight's settings (Security & permissions) allow it Athena, the archive's bucket and the bucket of the "
    "query results, with 'Write permission for Athena Workgroup'"
)
_SOURCE = "Validate the data set's data source in QuickSight: its workgroup, role and VPC connection"
_AGAIN = "Run it again"
INGESTION_FIXES = {
    "ACCOUNT_CAPACITY_LIMIT_EXCEEDED": "Buy SPICE capacity (or turn on its auto-purchase) in QuickSight's settings for "
    "this region, or delete data sets that nobody uses",
    "CONNECTION_FAILURE": f"{_AGAIN}. If it stays so: {_SOURCE}",
    "CUSTOMER_ERROR": "Run the data set's query in Athena: it says what is wrong",
    "DATA_SET_DELETED": "Create the data set again, and set aws.quicksight_data_set to its id",
    "DATA_SET_NOT_SPICE": "Set the data set's query mode to SPICE",
    "DATA_SET_SIZE_LIMIT_EXCEEDED": "Let the data set's query choose fewer days",
    "DATA_SOURCE_AUTH_FAILED": f"{_SOURCE}. {_RIGHTS}",
    "DATA_SOURCE_CONNECTION_FAILED": f"{_AGAIN}. If it stays so: {_SOURCE}",
    "DATA_SOURCE_NOT_FOUND": "Create the Athena data source again, and point the data set at it",
    "DATA_TOLERANCE_EXCEPTION": "Too many rows do not fit the data set's types: edit it, compare them with "
    "finops_db.ou_breakdown, and save it",
    "FAILURE_TO_ASSUME_ROLE": "Let quicksight.amazonaws.com assume the role of the data source (its trust policy)",
    "IAM_ROLE_NOT_AVAILABLE": f"QuickSight's service role is gone or disabled. {_RIGHTS}: that makes it anew",
    "INGESTION_SUPERSEDED": f"Another refresh took its place. {_AGAIN}, if that one is not of the same days",
    "INTERNAL_SERVICE_ERROR": f"It is QuickSight's own fault. {_AGAIN}; if it stays so, ask AWS support",
    "PERMISSION_DENIED": _RIGHTS,
    "PERMISSION_NOT_FOUND": f"{_RIGHTS}; with Lake Formation, grant it SELECT on finops_db.ou_breakdown",
    "QUERY_TIMEOUT": "Let the data set's query choose fewer days, or run it in a workgroup with less to do",
    "REFRESH_SUPPRESSED_BY_EDIT": f"Somebody was editing the data set. {_AGAIN} when it is saved",
    "S3_FILE_INACCESSIBLE": _RIGHTS,
    "S3_MANIFEST_ERROR": "Point the data set at the Athena table finops_db.ou_breakdown, not at files",
    "SOURCE_RESOURCE_LIMIT_EXCEEDED": f"Athena has too much to do. {_AGAIN}, or give QuickSight a workgroup of its own",
    "SPICE_TABLE_NOT_FOUND": "Edit the data set and save it, which fills it anew",
    "SQL_EXCEPTION": "Run the data set's query in Athena: it says what is wrong",
    "SQL_SCHEMA_MISMATCH_ERROR": "The table's columns are no longer those of the data set: edit it, refresh its "
    "columns, and save it",
    "SQL_TABLE_NOT_FOUND": "Materialize athena_partition, which makes finops_db.ou_breakdown; see that the data set "
    "asks that table, in this region's catalog, and that QuickSight may read Glue (and Lake Formation, where used)",
}
"""What to do about an ingestion that failed, by ErrorInfo.Type."""

SUBSCRIBE = (
    "Sign up for QuickSight (Enterprise edition) in this account and region: "
    "https://quicksight.aws.amazon.com/sn/console/signup; or set aws.quicksight_account and aws.region to where it is."
)
REPORT = "`finops quicksight show` prints what was sent; please report it with this message."
DASHBOARD_FIXES = {
    "ACCESS_DENIED": "Let QuickSight read the data sets: the role needs quicksight:PassDataSet on both.",
    "SOURCE_NOT_FOUND": REPORT,
    "DATA_SET_NOT_FOUND": "Somebody has deleted a data set meanwhile: deploy again, which makes it anew.",
    "INTERNAL_FAILURE": "It is QuickSight's own fault: deploy again; if it stays so, ask AWS support.",
    "PARAMETER_VALUE_INCOMPATIBLE": REPORT,
    "PARAMETER_TYPE_INVALID": REPORT,
    "PARAMETER_NOT_FOUND": REPORT,
    "COLUMN_TYPE_MISMATCH": "Compare the data sets' column types with the tables of finops_db. " + REPORT,
    "COLUMN_GEOGRAPHIC_ROLE_MISMATCH": REPORT,
    "COLUMN_REPLACEMENT_MISSING": "A data set lacks a column that the dashboard shows: somebody has edited it by hand, "
    "or this version needs a newer one; deploy again, which puts it back.",
}
"""What to do about an error of a dashboard's version, by its type."""

SOURCE_FIX = f"{_RIGHTS}; see aws.workgroup."
"""What to do about a data source that cannot be used."""

REQUEST_FIXES = {
    "InvalidParameterValueException": f"QuickSight takes it otherwise than its API describes it. {REPORT}",
    "InvalidDataSetParameterValueException": f"QuickSight takes it otherwise than its API describes it. {REPORT}",
    "ResourceNotFoundException": "Something that it refers to was deleted meanwhile: deploy again.",
}
"""What to do about a request that QuickSight refuses, by the error's code."""

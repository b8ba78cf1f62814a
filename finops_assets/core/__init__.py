"""Plain Python and Arrow: what the numbers mean. No Dagster, no AWS, no DuckDB in here."""

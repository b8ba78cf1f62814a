"""Athena's SQL as DuckDB's, with Trino's names, types and errors; what would mean something else is refused."""

"""The embedded platform: DuckDB over the bill's own files, a folder, a small catalog, HTML and .eml files."""

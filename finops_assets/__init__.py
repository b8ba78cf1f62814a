"""The daily cost platform for AWS organizations: yesterday's bill by OU, archived, queryable, shown and mailed."""

__version__ = "0.1.0"

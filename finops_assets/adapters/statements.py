"""What people may run on a catalog: one SELECT, in Athena's SQL."""

from __future__ import annotations

from finops_assets.core.errors import FinopsError


def refuse_all_but_select(sql: str) -> None:
    """Look at a query before an engine does.

    Raises:
        FinopsError: it cannot be parsed, or is not one SELECT.
    """
    import sqlglot

    try:
        statements = sqlglot.parse(sql, read="athena")
    except sqlglot.errors.SqlglotError as error:
        raise FinopsError(f"the query cannot be parsed: {error}", fix="Write it in Athena's SQL.") from None
    if len(statements) != 1 or not isinstance(statements[0], sqlglot.exp.Query):
        raise FinopsError("only one SELECT can be run", fix="The archive is written by the pipeline alone.")

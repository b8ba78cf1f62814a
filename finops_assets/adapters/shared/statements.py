"""The statements that users may run on a catalog: one SELECT, in Athena's SQL."""

from __future__ import annotations

import logging

from finops_assets.core.errors import FinopsError


def refuse_all_but_select(sql: str) -> None:
    """Check a query before an engine runs it.

    Raises:
        FinopsError: it cannot be parsed, or is not one SELECT.
    """
    import sqlglot
    from sqlglot import exp

    logging.getLogger("sqlglot").setLevel(logging.ERROR)  # it warns of statements that are refused here in our words
    try:
        parsed = sqlglot.parse(sql, read="athena")
    except sqlglot.errors.ParseError as error:
        first = error.errors[0]
        where = f"line {first['line']}, column {first['col']}: {first['description']}"
        raise FinopsError(f"the query cannot be parsed ({where})", fix="Write it in Athena's SQL.") from None
    except sqlglot.errors.SqlglotError as error:
        words = " ".join(str(error).split())
        raise FinopsError(f"the query cannot be parsed ({words})", fix="Write it in Athena's SQL.") from None
    statements = [one for one in parsed if one is not None and not isinstance(one, exp.Semicolon)]
    one_select = len(statements) == 1 and isinstance(statements[0], exp.Query)
    if not one_select or statements[0].find(exp.DML, exp.DDL, exp.Command, exp.Into):
        raise FinopsError("only one SELECT can be run", fix="The archive is written by the pipeline alone.")

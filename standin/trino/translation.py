"""A query of Athena (engine version 3, Trino) as one of DuckDB. Reads no data."""

from __future__ import annotations

from datetime import datetime

from sqlglot import exp
from sqlglot.optimizer.annotate_types import annotate_types
from sqlglot.schema import MappingSchema

from standin.trino.functions import check_functions
from standin.trino.language import HIDDEN, Lookup, Scan, Translated, parse, sql_type
from standin.trino.names import output_names, qualify_names, resolve, settle_having
from standin.trino.needs import find_needs
from standin.trino.rewriting import rewritten
from standin.trino.types import METADATA, check_types


def translate(sql: str, database: str, lookup: Lookup, now: datetime) -> Translated:
    """The query as DuckDB understands it.

    Raises:
        Malformed, QueryFailed, Unsupported: what the query asks for is no SQL, wrong, or not done here.
    """
    check_functions(sql)
    scans: dict[str, Scan] = {}
    tree = resolve(parse(sql), sql, database, lookup, scans, depth=0)
    visible = {scan.name: list(scan.table.columns) for scan in scans.values()}
    schema = MappingSchema(visible=visible, dialect="athena", normalize=False)
    for scan in scans.values():
        types = {name: sql_type(glue) for name, glue in (scan.table.columns | HIDDEN).items()}
        schema.add_table(exp.to_identifier(scan.name).name, types, dialect="athena")
    tree = qualify_names(tree, schema)
    settle_having(tree)
    tree = annotate_types(tree, schema=schema, dialect="athena", expression_metadata=METADATA)
    names = output_names(tree)
    check_types(tree)
    find_needs(tree, scans)
    return Translated(rewritten(tree, now).sql("duckdb"), list(scans.values()), names)


def condition(conjunct: exp.Expr, now: datetime) -> str:
    """A scan's conjunct in DuckDB's SQL; its columns are named without a table."""
    holder = exp.Paren(this=conjunct.copy())
    return rewritten(holder, now).sql("duckdb")

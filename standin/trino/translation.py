"""A query of Athena (engine version 3, Trino) as one of DuckDB. Reads no data."""

from __future__ import annotations

import re
from datetime import datetime

from sqlglot import exp
from sqlglot.optimizer.annotate_types import annotate_types
from sqlglot.schema import MappingSchema

from standin.trino.functions import check_functions
from standin.trino.language import HIDDEN, Lookup, Relation, Scan, Translated, parse, sql_type
from standin.trino.names import output_names, qualify_names, resolve, settle_having
from standin.trino.needs import find_needs
from standin.trino.rewriting import rewritten
from standin.trino.types import METADATA, check_types

NOW = re.compile(r"\b(?:current_|now\b|localtime)", re.IGNORECASE)
"""What the moment of a query could be a part of."""


MOST = 1000


class Translations:
    """What was translated before is not translated anew, while its tables are the same: 15 ms a query of a run."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, str], tuple[dict[tuple[str, str], object], Translated]] = {}

    def translate(self, sql: str, database: str, lookup: Lookup, now: datetime) -> Translated:
        """See the function `translate`; what comes back is for reading only."""
        known = self._known.get((sql, database))
        if known and all(_state(lookup, *name) == state for name, state in known[0].items()):
            return known[1]
        used: dict[tuple[str, str], object] = {}
        texts = [sql]

        def noted(schema: str, name: str) -> Relation | None:
            relation = lookup(schema, name)
            used[schema, name] = _state(lookup, schema, name)
            texts.append((relation and relation.view) or "")
            return relation

        translated = translate(sql, database, noted, now)
        if not any(map(NOW.search, texts)):
            if len(self._known) == MOST:
                self._known.clear()
            self._known[sql, database] = used, translated
        return translated


def _state(lookup: Lookup, schema: str, name: str) -> object:
    """What a translation depends on of a table: the order of its columns, too."""
    try:
        relation = lookup(schema, name)
    except KeyError:
        return None
    return relation and (relation.database, relation.name, list(relation.columns.items()), relation.view)


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

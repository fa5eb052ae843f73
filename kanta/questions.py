"""Whether a text in SQL only asks (spec 1-interfaces section 1: ``kanta query`` reads).

The engine's own parser is asked, not ours: what it makes of the text is what it would carry out. Its word SELECT alone
says little: a common table expression may insert, delete or copy to a file, EXPLAIN ANALYZE carries out what it
explains, and some table functions run the SQL they are given.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import duckdb

from kanta.errors import BadArguments

#: Kinds of query that read; the others insert, update, delete, merge or copy.
_READING = frozenset({"SELECT_NODE", "SET_OPERATION_NODE", "RECURSIVE_CTE_NODE", "CTE_NODE"})

#: Table functions that read what is there or make rows up. Others may change settings or run SQL of their own.
_FUNCTIONS = frozenset(
    {
        "unnest", "range", "generate_series", "repeat", "repeat_row", "summary", "json_each", "json_tree",
        "query_table", "parquet_metadata", "parquet_schema", "read_parquet", "parquet_scan", "pragma_table_info",
        "pragma_show", "pragma_version", "duckdb_columns", "duckdb_constraints", "duckdb_databases", "duckdb_functions",
        "duckdb_keywords", "duckdb_schemas", "duckdb_settings", "duckdb_tables", "duckdb_types", "duckdb_views",
        "duckdb_memory", "glob", "read_text", "read_blob", "read_csv", "read_csv_auto", "read_json", "read_json_auto",
    }
)  # fmt: skip

_EXPLAIN = re.compile(r"explain\s+(analyze\s+)?(\([^)]*\)\s*)?", re.IGNORECASE)

#: A PIVOT whose columns are looked up first has no tree: it may hold none of the words with which one changes things.
_CHANGING = re.compile(
    r"\b(copy|insert|update|delete|merge|truncate|query|json_execute_serialized_sql)\b", re.IGNORECASE
)


def check(sql: str) -> None:
    """Raises BadArguments unless the text is one statement that reads and changes nothing."""
    if not is_unicode(sql):
        raise BadArguments("The question is no text in UTF-8", next_step=_NEXT)
    with duckdb.connect() as parser:
        try:
            changing = _changing(parser, sql)
        except duckdb.Error as error:
            raise BadArguments(str(error).strip(), where=sql[:2000], next_step=_NEXT) from None
    if changing:
        raise BadArguments(f"A question cannot change anything: {changing}", where=sql[:2000], next_step=_NEXT)


def is_unicode(text: str) -> bool:
    """Whether a word of the command line is UTF-8; other bytes come in as halves of a character."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


_NEXT = 'one SELECT; kanta query "show all tables" lists what there is, --output FILE writes the answer'


def _changing(parser: duckdb.DuckDBPyConnection, sql: str) -> str:
    """What of a text does more than read; empty when nothing does."""
    statements = duckdb.extract_statements(sql)
    if len(statements) != 1:
        return f"{len(statements)} statements were given, not one"
    (statement,) = statements
    if statement.type == duckdb.StatementType.EXPLAIN:
        explained = _EXPLAIN.sub("", statement.query.lstrip(), count=1)
        return _changing(parser, explained) if explained != statement.query.lstrip() else "EXPLAIN of another kind"
    if statement.type == duckdb.StatementType.MULTI:
        found = _CHANGING.search(statement.query)
        return f"{found[0]} in a PIVOT" if found else ""
    if statement.type != duckdb.StatementType.SELECT:
        return statement.type.name.lower().replace("_", " ")
    tree = json.loads(
        parser.execute("select json_serialize_sql($sql::varchar)", {"sql": statement.query}).fetchall()[0][0]
    )
    if tree.get("error"):
        return f"it cannot be looked through ({tree.get('error_message', '')})"
    return next(_unknown(tree), "")


def _unknown(tree: Any) -> Iterator[str]:
    """What in a parsed statement is not known to read."""
    waiting = [tree]
    while waiting:
        node = waiting.pop()
        if isinstance(node, list):
            waiting.extend(node)
        if not isinstance(node, dict):
            continue
        waiting.extend(node.values())
        kind = node.get("type")
        if isinstance(kind, str) and kind.endswith("_NODE") and kind not in _READING:
            yield kind.removesuffix("_NODE").removesuffix("_QUERY").lower().replace("_", " ")
        if kind == "TABLE_FUNCTION":
            name = str((node.get("function") or {}).get("function_name", "")).lower()
            if name not in _FUNCTIONS:
                yield f"the table function {name}"

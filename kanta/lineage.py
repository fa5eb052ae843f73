"""Which columns a column is made from, read out of the SQL by sqlglot; private steps are looked through."""

from __future__ import annotations

from functools import cache

import sqlglot
from sqlglot import exp
from sqlglot.optimizer.qualify import qualify
from sqlglot.optimizer.scope import Scope, build_scope

from kanta import contracts, models

Source = tuple[str, str]  # table, column


@cache
def of_table(table: str) -> dict[str, tuple[Source, ...]]:
    """Each column of a model with the columns of tables its value comes from, in name order.

    Of an expression all columns in it count, also those that only decide; joins and conditions outside do not. What
    code or the programme provides is named as it is (``programme.…``, ``rfm._scored``). No model: nothing.
    """
    model = models.models().get(table)
    if model is None:
        return {}
    schema = {name: {column: "varchar" for column in columns} for name in model.inputs if (columns := _columns(name))}
    nested: dict[str, dict[str, dict[str, str]]] = {}
    for name, columns in schema.items():
        nested.setdefault(name.split(".")[0], {})[name.split(".")[1]] = columns
    try:
        tree = qualify(
            sqlglot.parse_one(model.sql, dialect="duckdb"), schema=nested, dialect="duckdb",
            validate_qualify_columns=False, quote_identifiers=False, identify=False,
        )  # fmt: skip
    except sqlglot.errors.SqlglotError:
        return {}
    scope = build_scope(tree)
    if scope is None:
        return {}
    return {
        name: tuple(sorted({end for source in _sources(scope, name, frozenset()) for end in _through(source)}))
        for name in tree.named_selects
    }


@cache
def _columns(table: str) -> tuple[str, ...]:
    from kanta.programme.relations import RELATIONS

    found = contracts.lake().get(table) or contracts.landed().get(table)
    if found:
        return found.names
    if table in RELATIONS:
        return tuple(RELATIONS[table])
    model = models.models().get(table)
    if model is None:
        return ()
    names = tuple(sqlglot.parse_one(model.sql, dialect="duckdb").named_selects)
    return names if names != ("*",) else _columns(model.inputs[0])


@cache
def _through(source: Source) -> tuple[Source, ...]:
    """A column of a private step is what that is made from; any other is an end."""
    from kanta.documents import made_by_code

    table, column = source
    if not table.split(".")[1].startswith("_"):
        return (source,)
    steps = [table] if table in models.models() else sorted(made_by_code().get(table, ()))
    return tuple(sorted({end for step in steps for end in of_table(step).get(column, ())})) or (source,)


def _sources(scope: Scope, column: str, seen: frozenset[tuple[int, str]]) -> set[Source]:
    """The table columns behind one column of a scope, through its steps and unions."""
    if (id(scope), column) in seen:
        return set()
    seen = seen | {(id(scope), column)}
    if scope.set_operation_scopes:
        position = scope.set_operation_scopes[0].expression.named_selects.index(column)
        found: set[Source] = set()
        for part in scope.set_operation_scopes:
            names = part.expression.named_selects
            found |= _sources(part, names[position] if position < len(names) else column, seen)
        return found
    select = next((part for part in scope.expression.selects if part.alias_or_name in (column, "*")), None)
    if select is None:
        return set()
    found = set()
    for part in select.find_all(exp.Column):
        # A step made by code has no columns to qualify by; where it is the only source, it is meant.
        chosen = [source for _, source in scope.selected_sources.values()]
        only = chosen[0] if not part.table and len(chosen) == 1 else None
        source = scope.sources.get(part.table) or only
        if isinstance(source, Scope):
            found |= _sources(source, part.name, seen)
        elif isinstance(source, exp.Table):
            found.add((f"{source.db}.{source.name}", part.name))
    return found

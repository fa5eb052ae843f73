"""Which columns a column is made from, read out of the SQL by sqlglot; private steps are looked through."""

from __future__ import annotations

from functools import cache
from typing import Any

import sqlglot
from sqlglot import exp
from sqlglot.optimizer.qualify import qualify
from sqlglot.optimizer.scope import Scope, build_scope

from kanta import contracts, models

Source = tuple[str, str]  # table, column


def of_table(table: str) -> dict[str, tuple[Source, ...]]:
    """Each column of a model with the columns of tables its value comes from, in name order.

    Of an expression all columns in it count, also those that only decide; joins and conditions outside do not. What
    code or the programme provides is named as it is (``programme.…``, ``loyalty._stays``). No model: nothing.
    """
    return {column: _ends(sources) for column, sources in _direct(table).items()}


def _ends(sources: frozenset[Source]) -> tuple[Source, ...]:
    """What private steps are made from in the end; steps may lead round in circles, as scoring does by level."""
    ends, seen, waiting = set[Source](), set[Source](), [*sources]
    while waiting:
        source = waiting.pop()
        if source in seen:
            continue
        seen.add(source)
        table, column = source
        steps = _steps(table)
        behind = [end for step in steps for end in _direct(step).get(column, ())]
        if steps:
            waiting += behind
        else:
            ends.add(source)
    return tuple(sorted(ends))


def _steps(table: str) -> list[str]:
    """The models that make a private step; none: a table, or a step that code makes from what is no column."""
    from kanta.documents import made_by_code

    if not table.split(".")[1].startswith("_"):
        return []
    return [table] if table in models.models() else sorted(made_by_code().get(table, ()))


@cache
def _direct(table: str) -> dict[str, frozenset[Source]]:
    """Each column of a model with the columns that its own statement names for it."""
    model = models.models().get(table)
    if model is None:
        return {}
    known: dict[str, Any] = {}
    for name in model.inputs:
        if columns := _columns(name):
            known.setdefault(name.split(".")[0], {})[name.split(".")[1]] = dict.fromkeys(columns, "varchar")
    try:
        tree: Any = qualify(
            sqlglot.parse_one(model.sql, dialect="duckdb"), schema=known, dialect="duckdb",
            validate_qualify_columns=False, quote_identifiers=False, identify=False,
        )  # fmt: skip
    except sqlglot.errors.SqlglotError:
        return {}
    scope = build_scope(tree)
    if scope is None:
        return {}
    return {name: frozenset(_sources(scope, name, frozenset())) for name in tree.named_selects}


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
        steps = _steps(table)
        return _columns(steps[0]) if steps else ()
    tree: Any = sqlglot.parse_one(model.sql, dialect="duckdb")
    names = tuple(tree.named_selects)
    return names if names != ("*",) else _columns(model.inputs[0])


def _sources(scope: Scope, column: str, seen: frozenset[tuple[int, str]]) -> set[Source]:
    """The table columns behind one column of a scope, through its steps and unions."""
    if (id(scope), column) in seen:
        return set()
    seen = seen | {(id(scope), column)}
    found: set[Source] = set()
    query: Any = scope.expression
    if scope.set_operation_scopes:
        position = query.named_selects.index(column)
        for branch in scope.set_operation_scopes:
            side: Any = branch.expression
            names = side.named_selects
            if query.args.get("by_name"):
                found |= _sources(branch, column, seen) if column in names or "*" in names else set()
            else:
                found |= _sources(branch, names[position], seen)
        return found
    select = next((part for part in query.selects if part.alias_or_name in (column, "*")), None)
    if select is None:
        return set()
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

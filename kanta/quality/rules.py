"""What a lake contract demands of its table's rows, as a list of rules; each becomes one Great Expectation.

Nothing here needs Great Expectations, so the derivation can be read, tested and printed without its import.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field, fields
from typing import Any

from kanta.contracts import Check, Column, Contract
from kanta.engine import literal
from kanta.errors import KantaError

#: The severity of a contract's check (ODCS) as Great Expectations and ``ops.checks`` name it.
SEVERITIES = {"error": "critical", "warning": "warning", "info": "info"}

#: What a contract says of a column or table that is derived below; what demands nothing of the rows.
#: A field in none of them is a kind of rule this module would silently not check: that is an error.
DERIVED = frozenset(
    {"name", "type", "required", "key", "allowed", "pattern", "minimum", "maximum", "max_length", "columns", "checks"}
)
UNDEMANDING = frozenset({"description", "personal", "kind", "grain", "partition", "path"})

#: What only a feed's contract says: the router's business, before anything is in the lake.
ROUTED = frozenset(
    {
        "default",
        "optional",
        "days_after_drop",
        "bounded_age",
        "stands_for",
        "local",
        "zone",
        "part_of",
        "record_columns",
    }
)

_NUMBER = re.compile(r"-?\d+(\.\d+)?")


@dataclass(frozen=True)
class Rule:
    """One rule of one table. ``expectation`` is the class that judges it and ``arguments`` what it is given.

    ``rows`` is a SELECT of the offending rows, where the rule is judged by one ("" where Great Expectations makes
    its own); ``shown``: columns of it that may be shown besides the contract's own public ones.
    """

    check: str
    severity: str
    description: str
    expectation: str
    arguments: dict[str, Any] = field(default_factory=dict)
    rows: str = ""
    shown: tuple[str, ...] = ()


def quoted(*names: str) -> str:
    """Column names as SQL, whatever words they are."""
    return ", ".join(f'"{name}"' for name in names)


def public(contract: Contract) -> tuple[str, ...]:
    """The columns whose values may be shown: all but personal ones."""
    return tuple(column.name for column in contract.columns if not column.personal)


def public_key(contract: Contract) -> tuple[str, ...]:
    """The columns a row is named by in a message: its key, else all its columns, without personal ones."""
    shown = public(contract)
    return tuple(name for name in contract.key or contract.names if name in shown)


def types_of(table: str) -> str:
    """The relation (column_name, type) of what the data files of ``table`` really hold."""
    return "file_types." + table.replace(".", "__")


def rules(contract: Contract) -> list[Rule]:
    """All rules of a lake contract, in the contract's order; names (``check``) are unique in a table.

    Raises KantaError for a kind of rule that nobody derives, and for one its column's type cannot have.
    """
    _all_derived(contract)
    derived = [
        _columns(contract),
        _types(contract),
        _row_count(),
        *_unique(contract),
        *(rule for column in contract.columns for rule in _of_column(contract, column)),
        *(_of_check(contract, check) for check in contract.checks),
    ]
    names = [rule.check for rule in derived]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise KantaError(f"Two checks have one name: {', '.join(twice)}", where=contract.path or contract.name)
    return derived


def _all_derived(contract: Contract) -> None:
    parts: list[Contract | Column] = [contract, *contract.columns]
    for part in parts:
        unknown = sorted({item.name for item in fields(part)} - DERIVED - UNDEMANDING - ROUTED)
        if unknown:
            raise KantaError(
                f"Nobody derives a check from {type(part).__name__}.{unknown[0]}",
                where=contract.path or contract.name,
                next_step="say in kanta/quality/rules.py which rule it is, or that it is none (UNDEMANDING)",
            )


def _columns(contract: Contract) -> Rule:
    return Rule(
        check="columns",
        severity="critical",
        description="The columns are the contract's, in its order.",
        expectation="ExpectTableColumnsToMatchOrderedList",
        arguments={"column_list": list(contract.names)},
    )


def _types(contract: Contract) -> Rule:
    promised = ", ".join(f"({literal(column.name)}, {literal(column.type)})" for column in contract.columns)
    return Rule(
        check="types",
        severity="critical",
        description="Each data file has the contract's types.",
        expectation="ExpectNoSuchRows",
        rows=(
            "select column_name, found.type as found, promised.type as promised"
            f" from {types_of(contract.name)} as found"
            f" join (values {promised}) as promised (column_name, type) using (column_name)"
            " where found.type <> promised.type"
        ),
        shown=("column_name", "found", "promised"),
    )


def _row_count() -> Rule:
    # A quiet night may leave any table empty. A contract that demands rows says so in a check of its own.
    return Rule(
        check="row_count",
        severity="critical",
        description="The rows can be counted.",
        expectation="ExpectTableRowCountToBeBetween",
        arguments={"min_value": 0},
    )


def _unique(contract: Contract) -> Iterator[Rule]:
    # ExpectCompoundColumnsToBeUnique joins the table with its own groups, which takes three times as long.
    if contract.key:
        key = quoted(*contract.key)
        yield Rule(
            check=f"unique({', '.join(contract.key)})",
            severity="critical",
            description="The key names one row.",
            expectation="ExpectNoSuchRows",
            rows=f"select {key} from {contract.name} group by {key} having count(*) > 1",
        )


def _of_column(contract: Contract, column: Column) -> Iterator[Rule]:
    name, text = column.name, column.type == "VARCHAR"
    if (column.pattern or column.max_length or column.allowed) and not text:
        raise KantaError(
            f"A {column.type} cannot have a pattern, a length or a list of allowed values",
            where=f"{contract.path or contract.name}: {name}",
        )
    if column.required:
        yield _critical(f"not_null({name})", "Never empty.", "ExpectColumnValuesToNotBeNull", column=name)
    if column.allowed:
        values = list(column.allowed)
        described = f"One of {', '.join(values)}."
        yield _critical(f"in_set({name})", described, "ExpectColumnValuesToBeInSet", column=name, value_set=values)
    if column.max_length:
        longest = column.max_length
        described = f"At most {longest} characters."
        yield _critical(
            f"length({name})", described, "ExpectColumnValueLengthsToBeBetween", column=name, max_value=longest
        )
    if column.minimum or column.maximum:
        yield _between(contract, column)
    if column.pattern:
        breaks = f"not regexp_full_match({quoted(name)}, {literal(column.pattern)})"
        yield _breaking(contract, name, f"matches({name})", f"Matches {column.pattern}.", breaks)


def _critical(check: str, description: str, expectation: str, **arguments: object) -> Rule:
    return Rule(check, "critical", description, expectation, arguments)


def _breaking(contract: Contract, column: str, check: str, description: str, condition: str) -> Rule:
    shown = dict.fromkeys((*public_key(contract), column))
    rows = f"select {quoted(*shown)} from {contract.name} where {condition}"
    return Rule(check, "critical", description, "ExpectNoSuchRows", rows=rows)


def _between(contract: Contract, column: Column) -> Rule:
    # Not ExpectColumnValuesToBeBetween: it turns its bounds into floats.
    low, high = (_bound(contract, column, bound) for bound in (column.minimum, column.maximum))
    name, breaks, said = quoted(column.name), [], []
    if low:
        breaks.append(f"{name} < {low}")
        said.append(f"Not below {column.minimum}.")
    if high:
        breaks.append(f"{name} > {high}")
        said.append(f"Not above {column.maximum}.")
    return _breaking(contract, column.name, f"between({column.name})", " ".join(said), " or ".join(breaks))


def _bound(contract: Contract, column: Column, bound: str) -> str:
    """A bound as exact SQL: a number stays as written, a date or time is cast; "" for none."""
    number = column.type in ("BIGINT", "INTEGER", "DOUBLE") or column.type.startswith("DECIMAL")
    if not bound or (number and _NUMBER.fullmatch(bound)):
        return bound
    if column.type in ("DATE", "TIMESTAMPTZ"):
        return f"cast({literal(bound)} as {column.type})"
    raise KantaError(
        f"{bound!r} cannot be a bound of a {column.type}", where=f"{contract.path or contract.name}: {column.name}"
    )


def _of_check(contract: Contract, check: Check) -> Rule:
    if check.severity not in SEVERITIES:
        raise KantaError(
            f"Check {check.name} has the unknown severity {check.severity!r}",
            where=contract.path or contract.name,
            next_step=f"use one of {', '.join(SEVERITIES)}",
        )
    return Rule(
        check=check.name,
        severity=SEVERITIES[check.severity],
        description=check.description or check.name.replace("_", " "),
        expectation="ExpectNoSuchRows",
        rows=check.query.rstrip("; \n"),
    )

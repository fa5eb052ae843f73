"""Conditions of fraud rules (``when``): a small language over known columns, never run as the text written.

Spec 4-call-center: at most 2,000 characters of and, or, not, in, comparisons and arithmetic over columns of orders,
of their sale lines (rules of level line), and of the customer. A condition is parsed, every part of it is checked and
typed, and SQL is made anew from the parts: :func:`to_sql`. Empty and x/0 are unknown as in SQL, and so is what is too
large to work out; only what is true holds.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Literal

import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError

from kanta import contracts

Level = Literal["order", "line"]
Type = Literal["number", "text", "boolean", "date", "moment"]

#: What a condition may ask about an order besides its own columns.
CUSTOMER_FIELDS: dict[str, str] = {
    "customer_age_days": "BIGINT", "customer_orders": "BIGINT", "customer_group": "VARCHAR", "customer_type": "VARCHAR",
    "billing_zip": "VARCHAR", "billing_country": "VARCHAR", "delivery_zip": "VARCHAR", "delivery_country": "VARCHAR",
}  # fmt: skip

#: The parts of a condition stand no deeper in each other; a chain of ``or`` is wide, not deep.
DEEPEST = 100

#: Digits kept behind the point of a product or quotient; sums keep all.
SCALE = 10

_COMPARED: dict[type[exp.Expr], str] = {
    exp.EQ: "=",
    exp.NEQ: "<>",
    exp.LT: "<",
    exp.LTE: "<=",
    exp.GT: ">",
    exp.GTE: ">=",
}
_JOINED: dict[type[exp.Expr], str] = {exp.And: "and", exp.Or: "or"}
_SUMMED: dict[type[exp.Expr], str] = {exp.Add: "+", exp.Sub: "-"}
_ALLOWED: tuple[type[exp.Expr], ...] = (
    *_COMPARED, *_JOINED, *_SUMMED, exp.Not, exp.In, exp.Tuple, exp.Paren, exp.Neg, exp.Mul, exp.Div, exp.Mod,
    exp.Column, exp.Identifier, exp.Literal, exp.Boolean,
)  # fmt: skip
_NUMBER = re.compile(r"\d{1,18}(\.\d{0,10})?|\.\d{1,10}")


@dataclass(frozen=True)
class Typed:
    """A part of a condition as SQL, of what type it is, and how many digits a number has behind the point."""

    sql: str
    type: Type
    scale: int = 0
    literal: bool = False


def fields(level: Level) -> Mapping[str, str]:
    """The names a condition of this level may use, with their engine types; a line's column stands before an order's.

    They are the columns of landed orders (and order lines), without personal ones, and what is known of the customer.
    """
    landing = contracts.landing()
    datasets = ["call_center.orders", *(["call_center.order_lines"] if level == "line" else [])]
    columns = [column for name in datasets for column in landing[name].columns if not column.personal]
    return {**{column.name: column.type for column in columns}, **CUSTOMER_FIELDS}


def to_sql(text: str, level: Level) -> str:
    """The condition as SQL over columns named as in :func:`fields`; ValueError says what is wrong with it."""
    try:
        tree = sqlglot.parse_one(text, dialect="duckdb")
        nodes = list(tree.walk())
    except (SqlglotError, RecursionError):
        raise ValueError("cannot be read; use and, or, not, in, comparisons and arithmetic") from None
    for node in nodes:
        if not isinstance(node, _ALLOWED):
            raise ValueError(f"may not use {node.key}; only and, or, not, in, comparisons and arithmetic")
    if _depth(tree) > DEEPEST:
        raise ValueError(f"holds parts that stand more than {DEEPEST} deep in each other; make it several rules")
    made = _typed(tree, fields(level))
    if made.type != "boolean":
        raise ValueError("must be a condition, true or false")
    return made.sql


def _depth(tree: exp.Expr) -> int:
    """How deep the parts of a condition stand in each other."""
    deepest, waiting = 0, [(tree, 1)]
    while waiting:
        node, depth = waiting.pop()
        deepest = max(deepest, depth)
        waiting += [(child, depth + (type(child) is not type(node) or type(node) not in _JOINED))
                    for child in node.iter_expressions()]  # fmt: skip
    return deepest


def _typed(node: exp.Expr, known: Mapping[str, str]) -> Typed:
    if isinstance(node, exp.Paren):
        return _typed(node.this, known)
    if isinstance(node, exp.Boolean):
        return Typed("true" if node.this else "false", "boolean")
    if isinstance(node, exp.Literal):
        return _literal(node)
    if isinstance(node, exp.Column):
        return _column(node, known)
    if isinstance(node, exp.Not):
        return Typed(f"(not {_of(node.this, known, 'boolean').sql})", "boolean")
    if type(node) in _JOINED:
        parts = [_of(part, known, "boolean").sql for part in node.flatten(unnest=False)]
        return Typed(f"({f' {_JOINED[type(node)]} '.join(parts)})", "boolean")
    if type(node) in _COMPARED:
        left_, right_ = _alike(_typed(node.this, known), _typed(node.expression, known))
        return Typed(f"try({left_.sql} {_COMPARED[type(node)]} {right_.sql})", "boolean")
    if isinstance(node, exp.In):
        return _in(node, known)
    return _arithmetic(node, known)


def _of(node: exp.Expr, known: Mapping[str, str], wanted: Type) -> Typed:
    made = _typed(node, known)
    if made.type != wanted:
        raise ValueError(f"{node.sql()[:40]} is a {made.type}, not a {wanted}")
    return made


def _literal(node: exp.Literal) -> Typed:
    text = str(node.this)
    if node.is_string:
        return Typed(exp.Literal.string(text).sql(dialect="duckdb"), "text", literal=True)
    if not _NUMBER.fullmatch(text):
        raise ValueError(f"{text[:40]} is no number of at most 18 digits and 10 decimals")
    scale = len(text.partition(".")[2])
    return Typed(f"cast({text} as decimal(38, {scale}))", "number", scale, literal=True)


def _column(node: exp.Column, known: Mapping[str, str]) -> Typed:
    if node.table or node.name not in known:
        close = difflib.get_close_matches(node.name, sorted(known), n=1)
        hint = f"; did you mean {close[0]}?" if close else ""
        raise ValueError(f"unknown field {node.sql()[:40]}{hint}")
    engine_type = known[node.name]
    if engine_type.startswith("DECIMAL") or engine_type in ("BIGINT", "INTEGER"):
        scale = int(engine_type.rstrip(")").partition(",")[2] or 0)
        return Typed(f'cast("{node.name}" as decimal(38, {scale}))', "number", scale)
    types: dict[str, Type] = {"VARCHAR": "text", "BOOLEAN": "boolean", "DATE": "date", "TIMESTAMPTZ": "moment"}
    return Typed(f'"{node.name}"', types[engine_type])


def _alike(left: Typed, right: Typed) -> tuple[Typed, Typed]:
    """Two sides of a comparison, a text that stands for a date or moment made one."""
    if left.type != right.type:
        left, right = _dated(left, right.type), _dated(right, left.type)
    if left.type != right.type:
        raise ValueError(f"compares a {left.type} with a {right.type}")
    return left, right


def _dated(part: Typed, wanted: Type) -> Typed:
    if not (part.literal and part.type == "text" and wanted in ("date", "moment")):
        return part
    try:
        read = (date if wanted == "date" else datetime).fromisoformat(part.sql.strip("'"))
    except ValueError:
        raise ValueError(f"{part.sql[:40]} is no {wanted}; write it as 2017-01-31") from None
    return Typed(f"cast('{read.isoformat()}' as {'date' if wanted == 'date' else 'timestamptz'})", wanted)


def _in(node: exp.In, known: Mapping[str, str]) -> Typed:
    sought, items = _typed(node.this, known), node.expressions
    if not items:
        raise ValueError("in needs a list in brackets")
    listed = [_alike(sought, _typed(item, known))[1].sql for item in items]
    return Typed(f"try({sought.sql} in ({', '.join(listed)}))", "boolean")


def _arithmetic(node: exp.Expr, known: Mapping[str, str]) -> Typed:
    if isinstance(node, exp.Neg):
        made = _of(node.this, known, "number")
        return Typed(f"(-{made.sql})", "number", made.scale)
    if not isinstance(node, (exp.Add, exp.Sub, exp.Mul, exp.Div, exp.Mod)):
        raise ValueError("must be a condition, true or false")
    left, right = (_of(part, known, "number") for part in (node.this, node.expression))
    if type(node) in _SUMMED:
        return Typed(f"({left.sql} {_SUMMED[type(node)]} {right.sql})", "number", max(left.scale, right.scale))
    if isinstance(node, exp.Mod):
        return Typed(f"({left.sql} % nullif({right.sql}, 0))", "number", max(left.scale, right.scale))
    if isinstance(node, exp.Div):
        # The engine's division of decimals is one of doubles; ten digits of it are exact enough to compare with.
        return Typed(f"cast({left.sql} / nullif({right.sql}, 0) as decimal(38, {SCALE}))", "number", SCALE)
    scale = left.scale + right.scale
    product = f"({left.sql} * {right.sql})"
    if scale <= SCALE:
        return Typed(product, "number", scale)
    return Typed(f"cast({product} as decimal(38, {SCALE}))", "number", SCALE)

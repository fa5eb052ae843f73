"""Conditions of fraud rules (``when``): a small language over known columns, never run as the text written.

Spec 4-call-center: at most 2,000 characters of and, or, not, in, comparisons and arithmetic over columns of orders,
of their sale lines (rules of level line), and of the customer. Here a condition is read and checked; the engine gets
the parsed expression.
"""

from __future__ import annotations

import difflib
from typing import Literal

import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError

from kanta import contracts

#: What a condition may ask about an order besides its own columns.
CUSTOMER_FIELDS = frozenset({
    "customer_age_days", "customer_orders", "customer_group", "customer_type",
    "billing_zip", "billing_country", "delivery_zip", "delivery_country",
})  # fmt: skip

_ALLOWED: tuple[type[exp.Expr], ...] = (
    exp.And, exp.Or, exp.Not, exp.In, exp.Tuple, exp.Paren, exp.Neg,
    exp.EQ, exp.NEQ, exp.LT, exp.LTE, exp.GT, exp.GTE,
    exp.Add, exp.Sub, exp.Mul, exp.Div, exp.Mod,
    exp.Column, exp.Identifier, exp.Literal, exp.Boolean,
)  # fmt: skip
_CONDITIONS: tuple[type[exp.Expr], ...] = (
    exp.And, exp.Or, exp.Not, exp.In, exp.EQ, exp.NEQ, exp.LT, exp.LTE, exp.GT, exp.GTE, exp.Boolean,
)  # fmt: skip


def fields(level: Literal["order", "line"]) -> frozenset[str]:
    """The names a condition of this level may use."""
    landing = contracts.landing()
    lines = landing["call_center.order_lines"].names if level == "line" else ()
    return CUSTOMER_FIELDS.union(landing["call_center.orders"].names, lines)


def parse(text: str, level: Literal["order", "line"]) -> exp.Expr:
    """The condition as an expression over :func:`fields`; ValueError says what is wrong with it."""
    try:
        tree = sqlglot.parse_one(text, dialect="duckdb")
    except (SqlglotError, RecursionError):
        raise ValueError("cannot be read; use and, or, not, in, comparisons and arithmetic") from None
    known = fields(level)
    for node in tree.walk():
        if not isinstance(node, _ALLOWED):
            raise ValueError(f"may not use {node.key}; only and, or, not, in, comparisons and arithmetic")
        if isinstance(node, exp.Column) and (node.table or node.name not in known):
            close = difflib.get_close_matches(node.name, sorted(known), n=1)
            hint = f"; did you mean {close[0]}?" if close else ""
            raise ValueError(f"unknown field {node.sql()[:40]}{hint}")
    if not isinstance(tree.unnest(), _CONDITIONS):
        raise ValueError("must be a condition, true or false")
    return tree

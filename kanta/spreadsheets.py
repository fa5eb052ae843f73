"""Text made harmless for spreadsheets: what they would run as a formula gets a quote in front.

Landing keeps every text as it came: "+Omega(3) eggs" is an honest name. Only a file that people open is written so.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from decimal import Decimal
from typing import Any

import pyarrow as pa

#: What a formula begins with; spreadsheets of East Asia also take the wide forms.
_FORMULA = re.compile(r"[=+\-@\t\r\n＝＋－＠]")
_NUMBER = re.compile(r"[+-]?(\d+([.,]\d*)?|[.,]\d+)([eE][+-]?\d{1,3})?")
#: What needs quotation marks wherever the file is opened: some countries part fields by a semicolon.
_PARTING = re.compile('[",;\t\r\n]')


def harmless(text: str) -> str:
    """The text, with a quote in front if it looks like a formula; a number, ``-3.50`` or ``+358401234567``, is none."""
    return f"'{text}" if _FORMULA.match(text) and not _NUMBER.fullmatch(text) else text


def harmless_table(table: pa.Table) -> pa.Table:
    """The table with its texts and the names of its columns made harmless; other columns stay as they are."""
    columns = [_harmless_column(column) for column in table.itercolumns()]
    return pa.table(columns, names=[harmless(name) for name in table.column_names])


def _harmless_column(column: pa.ChunkedArray) -> pa.ChunkedArray:
    import pyarrow.compute as pc

    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    if not (pa.types.is_string(column.type) or pa.types.is_large_string(column.type)):
        return column
    looks = pc.match_substring_regex(column, f"^(?:{_FORMULA.pattern})")
    if not pc.any(looks).as_py():
        return column
    return pa.chunked_array(
        [[value if value is None else harmless(value) for value in column.to_pylist()]], column.type
    )


def line(fields: Iterable[str]) -> str:
    """A line of CSV that no spreadsheet parts otherwise."""
    return (
        ",".join('"' + field.replace('"', '""') + '"' if _PARTING.search(field) else field for field in fields) + "\n"
    )


def field(value: Any, shown: str) -> str:
    """A value as a field: ``shown``, made harmless unless it is a number."""
    return shown if isinstance(value, int | float | Decimal) else harmless(shown)

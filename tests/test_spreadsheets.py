"""What people open in a spreadsheet holds no formula, and every text is still told as it is."""

from __future__ import annotations

import csv
import io
from decimal import Decimal

import openpyxl
import pyarrow as pa
import pytest

from kanta import spreadsheets
from kanta.analysts import downloads

HOSTILE = [
    "=1+1", "+Omega(3) eggs", "-Gluten(free) bread", "@Home(2-pack)", '-1+HYPERLINK("http://evil")', "\t=1+1",
    "\r=1+1", "\n=1+1", "＝1+1", "＠SUM(1)", "-2+3+cmd|' /C calc'!A0", "+358 40 123", "--1", "+",
]  # fmt: skip
HONEST = ["", "eggs", "-3.50", "+358401234567", "-1,5", "+.5", "-1e5", "a=b", "'=x", " =x"]


@pytest.mark.parametrize("text", HOSTILE)
def test_what_looks_like_a_formula_gets_a_quote(text: str) -> None:
    assert spreadsheets.harmless(text) == f"'{text}"


@pytest.mark.parametrize("text", HONEST)
def test_a_number_and_other_text_stay(text: str) -> None:
    assert spreadsheets.harmless(text) == text


def test_csv_and_xlsx_hold_no_formula_in_text_of_any_kind_nor_in_a_name() -> None:
    texts = [*HOSTILE, None]
    table = pa.table(
        {
            "=name": texts, "large": pa.array(texts, pa.large_string()),
            "coded": pa.array(texts).dictionary_encode(), "number": [Decimal("-1.50")] * len(texts),
        }
    )  # fmt: skip
    harmless = [f"'{text}" for text in HOSTILE]
    (header, *rows) = csv.reader(io.StringIO(downloads.csv(table).decode(), newline=""))
    assert header == ["'=name", "large", "coded", "number"]
    assert rows == [[text, text, text, "-1.50"] for text in harmless] + [["", "", "", "-1.50"]]
    sheet = openpyxl.load_workbook(io.BytesIO(downloads.xlsx(table))).active
    cells = list(sheet.iter_rows(min_row=2))
    assert {cell.data_type for row in cells for cell in row[:3]} <= {"s", "n"}, "no cell is a formula"
    assert all(str(row[0].value).startswith("'") for row in cells[:-1])
    assert [row[3].value for row in cells] == [-1.5] * len(texts)


def test_a_line_is_parted_nowhere_but_where_it_should_be() -> None:
    fields = ["a;=1+1", 'say "x"', "a\tb", "a,b", "a\nb", "plain"]
    line = spreadsheets.line(fields)
    assert line.endswith(",plain\n")
    assert next(csv.reader(io.StringIO(line, newline=""))) == fields
    assert line.startswith('"a;=1+1",'), "where a semicolon parts fields, quotation marks hold it together"

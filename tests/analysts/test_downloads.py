"""Lists as files, whatever is in them."""

from __future__ import annotations

import io
from datetime import date
from decimal import Decimal

import openpyxl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from kanta.analysts import downloads
from kanta.analysts.views import masked
from kanta.errors import KantaError

TABLE = pa.table(
    {
        "who": ['=1+1"x', "Ä, ö", None],
        "money": pa.array([Decimal("1.10"), None, Decimal("-3.00")], pa.decimal128(18, 2)),
        "day": [date(2026, 1, 31), None, date(2026, 2, 1)],
    }
)


def test_parquet_is_the_list() -> None:
    assert pq.read_table(io.BytesIO(downloads.parquet(TABLE))).equals(TABLE)


def test_csv_is_exact_but_for_what_a_spreadsheet_would_run() -> None:
    lines = downloads.csv(TABLE).decode().splitlines()
    assert lines == ['"who","money","day"', '"\'=1+1""x",1.10,2026-01-31', '"Ä, ö",,', ",-3.00,2026-02-01"]


def test_xlsx_holds_text_as_text_numbers_as_numbers_and_dates_as_dates() -> None:
    sheet = openpyxl.load_workbook(io.BytesIO(downloads.xlsx(TABLE))).active
    rows = [[cell.value for cell in row] for row in sheet.iter_rows()]
    assert rows[0] == ["who", "money", "day"]
    assert sheet["A2"].data_type == "s", "a text that looks like a formula is none"
    assert rows[1][:2] == ["'=1+1\"x", 1.1]
    assert rows[1][2].date() == date(2026, 1, 31)
    assert rows[2] == ["Ä, ö", None, None]


def test_a_list_too_long_for_a_sheet_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(downloads, "MOST_ROWS", 2)
    with pytest.raises(KantaError, match="3 rows do not fit"):
        downloads.xlsx(TABLE)


@pytest.mark.parametrize(
    ("value", "shown"),
    [("anna.aalto@example.fi", "a…@e….fi"), ("+358401234567", "…67"), (None, ""), ("", "")],
)
def test_masked_contacts_do_not_say_whose(value: str | None, shown: str) -> None:
    assert masked(value) == shown

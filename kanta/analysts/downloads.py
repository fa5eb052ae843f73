"""A list as a file: CSV, XLSX or Parquet."""

from __future__ import annotations

import io
from collections.abc import Callable
from decimal import Decimal

import pyarrow as pa

from kanta.errors import KantaError
from kanta.spreadsheets import harmless_table

#: Rows an XLSX sheet can hold below its header.
MOST_ROWS = 1_048_575


def csv(table: pa.Table) -> bytes:
    """UTF-8 with a header row, empty for what is not known; decimals as they are, no text a formula."""
    import pyarrow.csv as pc

    sink = io.BytesIO()
    pc.write_csv(harmless_table(table), sink)
    return sink.getvalue()


def parquet(table: pa.Table) -> bytes:
    import pyarrow.parquet as pq

    sink = io.BytesIO()
    pq.write_table(table, sink, compression="zstd")
    return sink.getvalue()


def xlsx(table: pa.Table) -> bytes:
    """One sheet, header frozen, dates and numbers as such; text is text, and none a formula when it is saved as CSV.

    Raises KantaError above what a sheet can hold.
    """
    if table.num_rows > MOST_ROWS:
        raise KantaError(
            f"{table.num_rows:,} rows do not fit into one sheet of {MOST_ROWS:,}", next_step="take CSV or Parquet"
        )
    import xlsxwriter

    table = harmless_table(table)
    sink = io.BytesIO()
    book = xlsxwriter.Workbook(
        sink,
        {
            "in_memory": True, "default_date_format": "yyyy-mm-dd", "strings_to_formulas": False,
            "strings_to_urls": False, "strings_to_numbers": False, "remove_timezone": True,
        },
    )  # fmt: skip
    sheet = book.add_worksheet("kanta")
    bold = book.add_format({"bold": True})
    sheet.write_row(0, 0, table.column_names, bold)
    sheet.freeze_panes(1, 0)
    for at, column in enumerate(table.itercolumns()):
        sheet.set_column(at, at, 16)
        for row, value in enumerate(column.to_pylist(), start=1):
            if value is not None:
                sheet.write(row, at, float(value) if isinstance(value, Decimal) else value)
    book.close()
    return sink.getvalue()


#: Each form with its ending and media type.
FORMS: dict[str, tuple[Callable[[pa.Table], bytes], str]] = {
    "csv": (csv, "text/csv"),
    "xlsx": (xlsx, "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"),
    "parquet": (parquet, "application/vnd.apache.parquet"),
}

"""How a package's files are written and read: csv.gz, Parquet, Xstore's .mnt (schemas/packages/formats.yaml).

Both sides import this. Written is from Arrow, in the order of the rows; read is into a table of text, so that what a
store checks is the same whatever the format.
"""

from __future__ import annotations

import gzip
import os
import re
import zlib
from collections.abc import Iterator, Sequence
from datetime import date, timedelta
from functools import cache
from itertools import islice
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import yaml

from kanta import contracts
from kanta.contracts import Column, Contract
from kanta.engine import file_literal, literal

#: A line of a file, or what a Parquet file says of itself, is not read any further.
MOST_LINE = 4 * 1024 * 1024

#: A dataset is not read any further than so many bytes of text for a row, and in all: a small file may hold terabytes.
MOST_ROW, MOST_TEXT = 64 * 1024, 4 * 1024**3

#: So many lines of a file are held as Python objects at once.
_LINES = 20_000


class BadRows(Exception):
    """A file does not hold what its name and manifest say; the message holds no value of it."""


@cache
def layouts() -> dict[str, dict[str, Any]]:
    """The formats by name, as their contract says."""
    text = (contracts.SCHEMAS / "packages" / "formats.yaml").read_text(encoding="utf-8")
    found: dict[str, dict[str, Any]] = yaml.safe_load(text)
    return found


def file_name(form: str, job: str, dataset: str) -> str:
    """The name of the file that holds a dataset."""
    return str(layouts()[form]["file"]).format(job=job, dataset=dataset)


def form_of(name: str) -> str | None:
    """The format of a file by its name, without .age; None for no format."""
    return next((form for form, layout in layouts().items() if name.endswith(Path(layout["file"]).suffixes[-1])), None)


# ── writing ──────────────────────────────────────────────────────────────────────────────────────────────────────


def projection(form: str, contract: Contract) -> str:
    """What of a row (its ``op`` and columns) goes into a file: SQL of a ``line`` of text, or typed columns."""
    if form == "parquet":
        return ", ".join(("op", *(f"cast({c.name} as {c.type}) as {c.name}" for c in contract.columns)))
    if form == "csv.gz":
        parts = ("op", *(_quoted(column) for column in contract.columns))
        return " || ',' || ".join(parts) + " || chr(10) as line"
    operations = layouts()[form]["operations"]
    name = literal(f"|{contract.dataset.upper()}")
    key = [_escaped(column) for column in contract.columns if column.key]
    rest = [_escaped(column) for column in contract.columns if not column.key]
    deleted = " || '|' || ".join((f"{literal(operations['D'])} || {name}", *key))
    put = " || '|' || ".join((f"{literal(operations['U'])} || {name}", *key, *rest))
    return f"case when op = 'D' then {deleted} else {put} end || chr(10) as line"


def text_of(column: Column) -> str:
    """The SQL of a value as text: one way to write each; empty for null."""
    if column.type == "VARCHAR":
        return f"coalesce({column.name}, '')"
    return f"coalesce(cast(cast({column.name} as {column.type}) as varchar), '')"


def _quoted(column: Column) -> str:
    if column.type != "VARCHAR":
        return text_of(column)
    return (
        f"case when regexp_matches({column.name}, '[\",\\r\\n]')"
        f" then '\"' || replace({column.name}, '\"', '\"\"') || '\"' else coalesce({column.name}, '') end"
    )


def _escaped(column: Column) -> str:
    text = text_of(column)
    if column.type == "VARCHAR":
        for plain, escaped in layouts()["xstore_mnt"]["escapes"].items():  # the backslash itself comes first
            text = f"replace({text}, {literal(plain)}, {literal(escaped)})"
    return text


def csv_header(contract: Contract) -> bytes:
    """The first line of a csv.gz file."""
    return (",".join(("op", *contract.names)) + "\n").encode()


def mnt_header(database: str, job: str, sequence: int, business_date: date, lines: int) -> bytes:
    """The first line of an Xstore file. ``lines``: those after it."""
    header = str(layouts()["xstore_mnt"]["header"]).format(
        lines=lines, database=database, job=job, sequence=sequence, opening_day=business_date + timedelta(days=1)
    )
    return header.encode() + b"\n"


# ── reading ──────────────────────────────────────────────────────────────────────────────────────────────────────


def read(con: duckdb.DuckDBPyConnection, contract: Contract, form: str, path: Path, rows: int) -> None:
    """Reads a dataset's rows as text into the temporary table ``incoming``: empty is null, in a key empty text.

    One row more than ``rows`` is enough to know, and no more text is read than so many rows can have: a file that goes
    on for ever, or expands to more than there is room for, is not read to its end. Raises BadRows.
    """
    most = min(MOST_LINE + rows * MOST_ROW, MOST_TEXT)
    if form == "csv.gz":
        source = _csv(contract, path, most)
    elif form == "parquet":
        source = _parquet(con, contract, path, rows, most)
    else:
        con.register("_incoming", pa.concat_tables(_mnt(contract, path, rows + 1, most)))
        source = "_incoming"
    texts = {column.name for column in contract.columns if column.key and column.type == "VARCHAR"}
    values = ", ".join(
        f"{'coalesce' if name in texts else 'nullif'}({name}, '') as {name}" for name in ("op", *contract.names)
    )
    try:
        con.execute(f"create or replace temp table incoming as select {values} from {source} limit {rows + 1}")
    except (duckdb.InvalidInputException, duckdb.ConversionException) as error:
        raise BadRows(f"{contract.dataset}: the file has lines that are no rows") from error
    except duckdb.OutOfMemoryException as error:
        raise _too_large(contract) from error
    except duckdb.IOException as error:
        if "gzip" not in str(error).lower():
            raise
        raise BadRows(f"{contract.dataset}: the file is not a gzip file") from error


def check(con: duckdb.DuckDBPyConnection, contract: Contract, rows: int, deletes: int) -> None:
    """Counts, operations, types and keys of ``incoming``; a value is written one way only, so none is rounded.

    Raises BadRows.
    """
    wrong = {
        "count": f"abs(count(*) - {rows}) + abs(count(*) filter (op = 'D') - {deletes})",
        "operation": "count(*) filter (op is null or op not in ('U', 'D'))",
        "double key": f"count(*) - count(distinct ({', '.join(contract.key)}))",
    }
    for column in contract.columns:
        name = column.name
        if column.type != "VARCHAR":
            wrong[f"type of {name}"] = (
                f"count(*) filter ({name} is not null and cast(try_cast({name} as {column.type}) as varchar)"
                f" is distinct from {name})"
            )
        if column.required:
            wrong[f"nothing in {name}"] = f"count(*) filter ({name} is null and (op = 'U' or {bool(column.key)}))"
    row = con.execute(f"select {', '.join(wrong.values())} from incoming").fetchone() or ()
    found = [f"{what} ({count})" for what, count in zip(wrong, row, strict=True) if count]
    if found:
        raise BadRows(f"{contract.dataset}: {', '.join(found)}")


def _too_large(contract: Contract) -> BadRows:
    return BadRows(f"{contract.dataset}: the file expands to more than its rows can be")


def _csv(contract: Contract, path: Path, most: int) -> str:
    try:
        with gzip.open(path) as file:
            header = file.readline(MOST_LINE)
            size = len(header)
            while header == csv_header(contract) and (read := len(file.read(1024 * 1024))):
                if (size := size + read) > most:
                    raise _too_large(contract)
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise BadRows(f"{contract.dataset}: the file is not a gzip file") from error
    if header != csv_header(contract):
        raise BadRows(f"{contract.dataset}: the columns are not those of the contract")
    columns = ", ".join(f"{literal(name)}: 'VARCHAR'" for name in ("op", *contract.names))
    return (
        f"read_csv({file_literal(path)}, columns = {{{columns}}}, auto_detect = false, header = true,"
        " compression = 'gzip', delim = ',', quote = '\"', escape = '\"', new_line = '\\n', strict_mode = true)"
    )


def _parquet(con: duckdb.DuckDBPyConnection, contract: Contract, path: Path, rows: int, most: int) -> str:
    source = f"read_parquet({file_literal(path)})"
    try:
        _parquet_foot(contract, path, rows, most)
        found = con.execute(f"describe select * from {source}").fetchall()
        if [(row[0], row[1]) for row in found] != [("op", "VARCHAR"), *((c.name, c.type) for c in contract.columns)]:
            raise BadRows(f"{contract.dataset}: the columns are not those of the contract")
        # A text that a file holds once may stand in each of its rows; counting it copies none.
        texts = ["op", *(column.name for column in contract.columns if column.type == "VARCHAR")]
        lengths = " + ".join(f"coalesce(strlen({name}), 0)" for name in texts)
        query = f"select coalesce(sum({lengths}), 0) from (select {', '.join(texts)} from {source} limit {rows + 1})"
        ((size,),) = con.execute(query).fetchall()
    except duckdb.OutOfMemoryException as error:
        raise _too_large(contract) from error
    except (duckdb.Error, OSError, ValueError, pa.ArrowException) as error:
        raise BadRows(f"{contract.dataset}: the file is not a Parquet file") from error
    if size > most:
        raise _too_large(contract)
    values = ", ".join(f"cast({name} as varchar) as {name}" for name in ("op", *contract.names))
    return f"(select {values} from {source})"


def _parquet_foot(contract: Contract, path: Path, rows: int, most: int) -> None:
    """What the file says of itself, before the engine makes room for as many columns and pages as it says."""
    with path.open("rb") as file:
        file.seek(-8, os.SEEK_END)
        length = int.from_bytes(file.read(4), "little")
    if length > MOST_LINE:
        raise _too_large(contract)
    said = pq.ParquetFile(path, thrift_string_size_limit=MOST_LINE, thrift_container_size_limit=MOST_ROW).metadata
    if said.num_columns != len(contract.columns) + 1:
        raise BadRows(f"{contract.dataset}: the columns are not those of the contract")
    if said.num_rows != rows:
        raise BadRows(f"{contract.dataset}: count ({abs(said.num_rows - rows)})")
    if sum(said.row_group(number).total_byte_size for number in range(said.num_row_groups)) > most:
        raise _too_large(contract)


def _mnt(contract: Contract, path: Path, most_rows: int, most: int) -> list[pa.Table]:
    """A dataset's lines of an Xstore file, by column; of a deleted row the key."""
    operations = {name: op for op, name in layouts()["xstore_mnt"]["operations"].items()}
    keys = [column.name for column in contract.columns if column.key]
    names = [*keys, *(column.name for column in contract.columns if not column.key)]
    schema = pa.schema([(name, pa.string()) for name in ("op", *contract.names)])
    found, size = [schema.empty_table()], 0
    lines = islice(_mnt_lines(contract, path), most_rows)
    while some := list(islice(lines, _LINES)):
        columns: dict[str, list[str]] = {name: [] for name in schema.names}
        for operation, values in some:
            op = operations.get(operation, "")
            if len(values) != (len(keys) if op == "D" else len(names)):
                raise BadRows(f"{contract.dataset}: the columns are not those of the contract")
            if (size := size + sum(map(len, values))) > most:
                raise _too_large(contract)
            columns["op"].append(op)
            for name, value in zip(names, (*values, *[""] * (len(names) - len(values))), strict=True):
                columns[name].append(value)
        found.append(pa.table(columns, schema))
    return found


def _mnt_lines(contract: Contract, path: Path) -> Iterator[tuple[str, Sequence[str]]]:
    escapes = {escaped: plain for plain, escaped in layouts()["xstore_mnt"]["escapes"].items()}
    try:
        with path.open(encoding="utf-8", newline="\n") as file:
            header = re.match(r'<Header line_count="([0-9]{1,18})" ', file.readline(MOST_LINE))
            lines = 0
            for line in iter(lambda: file.readline(MOST_LINE), ""):
                lines += 1
                operation, dataset, *values = line.removesuffix("\n").split("|")
                if dataset == contract.dataset.upper():
                    yield operation, [re.sub(r"\\.", lambda found: escapes[found[0]], value) for value in values]
    except (ValueError, KeyError) as error:
        raise BadRows(f"{contract.dataset}: the file has lines that are no rows") from error
    if header is None or int(header[1]) != lines:
        raise BadRows(f"{contract.dataset}: the file has not as many lines as it says")

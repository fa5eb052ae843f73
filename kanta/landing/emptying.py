"""Emptying a person's columns in the text of CSV, in lines of JSON and in Parquet, each as landing reads it."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Collection, Iterator
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from kanta.contracts import Contract
from kanta.foreign import trimmed
from kanta.landing.names import NAMED_BY, Names
from kanta.landing.spool import JSON, MAX_UNBROKEN, as_text


def _emptied(columns: Collection[str], contract: Contract | None) -> set[str]:
    """The columns of a file that go: personal ones, and those that no contract knows; never one that names."""
    kept = {column.name for column in contract.columns if not column.personal} if contract else set[str]()
    return set(columns) - kept - NAMED_BY.keys()


def _may_be_read(contract: Contract | None) -> bool:
    """Whether a row that landing refuses as broken can hold a person at all."""
    return contract is None or any(column.personal for column in contract.columns)


# ── CSV ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def csv_text(text: str, contract: Contract | None, names: Names) -> Iterator[str]:
    """The text's records, those of the person without their columns; the others as they were written."""
    header: list[str] = []
    gone: set[str] = set()
    for record, cells, sound in _records(text):
        told = set(map(trimmed, cells))
        if not any(told):
            pass
        elif not header:
            header = [trimmed(cell.removeprefix("\ufeff")) for cell in cells]
            gone = _emptied(header, contract)
        elif sound and len(cells) == len(header) and NAMED_BY.keys() & set(header):
            if gone and names.own(dict(zip(header, cells, strict=True))):
                record = _line(["" if name in gone else cell for name, cell in zip(header, cells, strict=True)], record)
        elif _may_be_read(contract) and (names.all & told or (not sound and names.mentioned(record))):
            # no row one can read, and refused: nothing of it is kept but names
            record = _line([cell if trimmed(cell) in names.all else "" for cell in cells], record)
        yield record


def _line(cells: list[str], record: str) -> str:
    end = record[len(record.rstrip("\r\n")) :]
    out = io.StringIO(newline="")
    csv.writer(out, lineterminator="\r\n").writerow(cells)  # which of the two it quotes goes by this
    return out.getvalue().removesuffix("\r\n") + end


def _records(text: str) -> Iterator[tuple[str, list[str], bool]]:
    """The records of a CSV text: as they are written, as landing reads them, and whether it would.

    Only line feeds and carriage returns end one, and those within quotes end none. From where landing gives up, it is
    read as far as it can be.
    """
    csv.field_size_limit(MAX_UNBROKEN)
    taken: list[str] = []
    lines = io.StringIO(text, newline="")

    def told(source: io.StringIO) -> Iterator[str]:
        for line in source:
            taken.append(line)
            yield line

    for strict in (True, False):
        try:
            for cells in csv.reader(told(lines), strict=strict):
                yield "".join(taken), cells, strict
                taken.clear()
        except csv.Error:
            lines = io.StringIO("".join(taken) + lines.read(), newline="")
            taken.clear()
        else:
            return
    yield from ((line, line.split(","), False) for line in lines)


# ── NDJSON ───────────────────────────────────────────────────────────────────────────────────────────────────────

_SPACE = re.compile(r"[ \t\n\r]*")
_VALUE = json.JSONDecoder()
_ESCAPE = re.compile(r"\\u([0-9a-fA-F]{4})")


def json_line(line: str, contract: Contract | None, names: Names) -> str:
    """A line, without the person's values if it is theirs; all else of it as it was written."""
    if "\\" not in line and not any(name in line for name in names.all):
        return line
    try:
        row = JSON.decode(trimmed(line))
    except (ValueError, RecursionError):
        row = None
    if not isinstance(row, dict):  # landing refuses it
        broken = _may_be_read(contract) and names.mentioned(_ESCAPE.sub(lambda found: chr(int(found[1], 16)), line))
        return "{}" + line[len(line.rstrip("\r\n")) :] if broken else line
    gone = _emptied(row, contract)
    if not gone or not names.own({name: _named(value) for name, value in row.items()}):
        return line
    pieces, at = [], 0
    for key, start, end in _members(line):
        if key in gone:
            pieces += [line[at:start], "null"]
            at = end
    return "".join([*pieces, line[at:]])


def _named(value: Any) -> str:
    """A value as landing has it in a column that names; numbers are text by now."""
    return value if isinstance(value, str) else ""


def _members(line: str) -> Iterator[tuple[str, int, int]]:
    """The keys of a JSON object, and where each one's value begins and ends."""
    at = line.index("{") + 1
    while line[at := _space(line, at)] != "}":
        if line[at] == ",":
            at = _space(line, at + 1)
        key, at = _VALUE.raw_decode(line, at)
        at = _space(line, _space(line, at) + 1)
        _, end = _VALUE.raw_decode(line, at)
        yield key, at, end
        at = end


def _space(line: str, at: int) -> int:
    found = _SPACE.match(line, at)
    return found.end() if found else at


# ── Parquet ──────────────────────────────────────────────────────────────────────────────────────────────────────


def parquet(data: bytes, contract: Contract | None, names: Names) -> bytes:
    """The file without the person's values. One that is broken, which landing refuses, goes if it names the person."""
    try:
        table = pq.read_table(pa.BufferReader(data))
        naming = {name: _as_text(table.column(name)) for name in table.column_names if name in NAMED_BY}
    except (OSError, pa.ArrowException, ValueError):
        broken = _may_be_read(contract) and names.mentioned(data.decode("utf-8", "replace"))
        return b"" if broken else data
    gone = _emptied(table.column_names, contract)
    theirs = [
        names.own(dict(zip(naming, values, strict=True))) for values in zip(*naming.values(), strict=True)
    ]  # fmt: skip
    if not gone or not any(theirs):
        return data
    kept = pa.array([None if own else place for place, own in enumerate(theirs)], pa.int64())
    changed = False
    for place, name in enumerate(table.column_names):
        if name in gone:
            column = table.column(name)
            if pa.types.is_dictionary(column.type):  # its entries would stay, whatever points at them
                column = column.cast(column.type.value_type)
            emptied = column.take(kept)
            changed |= emptied.null_count != column.null_count
            table = table.set_column(place, pa.field(name, column.type), emptied)
    if not changed:
        return data
    out = pa.BufferOutputStream()
    pq.write_table(table, out, compression="zstd", store_schema=False)
    return bytes(out.getvalue().to_pybytes())


def _as_text(column: pa.ChunkedArray) -> list[str]:
    return [value for chunk in column.chunks for value in as_text(chunk)]

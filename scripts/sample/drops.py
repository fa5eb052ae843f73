"""Drops of the landing zone, written and read back byte for byte the same (spec: 1-interfaces section 3).

A drop holds its datasets as rows (column to value; money is Decimal, times are ISO text). Columns and types come from
the landing contracts, so that a file always has every column of its dataset.
"""

from __future__ import annotations

import csv
import gzip
import hashlib
import io
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from operator import itemgetter
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import zstandard

from kanta import contracts

Row = dict[str, Any]

#: The order of rows within a file; other datasets stay as they were made.
ORDER = {
    "transactions": ("started_at", "transaction_id"),
    "lines": ("transaction_id", "line_no"),
    "tenders": ("transaction_id", "tender_no"),
}


@dataclass
class Drop:
    """One directory of the landing zone. ``arrives_on``: the night it comes late (empty: with its own date's night)."""

    feed: str
    business_date: date
    source: str
    revision: int = 1
    arrives_on: date | None = None
    format: str = "csv"
    rows: dict[str, list[Row]] = field(default_factory=dict)
    totals: bool = True
    bom: bool = False  # lines.csv as an old till writes it: byte order mark, CRLF, a blank line
    truncated: bool = False  # the last bytes of lines never arrived, though control.json counts them

    @property
    def path(self) -> str:
        """Where it stands under the landing zone; also how it is known."""
        return f"{self.feed}/{self.business_date.isoformat()}/{self.source}"

    @property
    def place(self) -> str:
        """Where it stands in the sample."""
        return f"late/{self.arrives_on.isoformat()}/{self.path}" if self.arrives_on else f"landing/{self.path}"

    def add(self, dataset: str, *rows: Row) -> None:
        self.rows.setdefault(dataset, []).extend(rows)

    def file(self, dataset: str) -> str:
        """A dataset's file name."""
        return f"{dataset}.{self.format}"


def contract(feed: str, dataset: str) -> contracts.Contract:
    """The contract of a feed's dataset; datasets that all feeds share stand under ``any``."""
    known = contracts.landing()
    return known.get(f"{feed}.{dataset}") or known[f"any.{dataset}"]


def text(value: object) -> str:
    """A value as landing files write it."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, Decimal):
        return format(value, "f")
    return value.isoformat() if isinstance(value, date) else str(value)


#: Optional columns that no source of the sample sends; they are younger than it is.
UNSAID = {"voids_transaction_id", "started_local", "ended_local", "ordered_local", "loyalty_tender"}


def _csv(columns: list[str], rows: list[Row], newline: str) -> bytes:
    out = io.StringIO()
    writer = csv.writer(out, lineterminator=newline)
    writer.writerow(columns)
    writer.writerows([text(row.get(column)) for column in columns] for row in rows)
    return out.getvalue().encode()


def _ndjson(columns: list[str], rows: list[Row]) -> bytes:
    def literal(value: object) -> str:
        if value is None:
            return "null"
        return text(value) if isinstance(value, bool | int | Decimal) else json.dumps(text(value))

    lines = [", ".join(f"{json.dumps(column)}: {literal(row.get(column))}" for column in columns) for row in rows]
    return "".join(f"{{{line}}}\n" for line in lines).encode()


def _arrow_type(column: contracts.Column) -> pa.DataType:
    if column.type.startswith("DECIMAL"):
        precision, scale = column.type[8:-1].split(",")
        return pa.decimal128(int(precision), int(scale))
    return {
        "VARCHAR": pa.string(),
        "BIGINT": pa.int64(),
        "INTEGER": pa.int32(),
        "BOOLEAN": pa.bool_(),
        "DATE": pa.date32(),
        "TIMESTAMPTZ": pa.timestamp("us", tz="UTC"),
    }[column.type]


def _parquet(columns: tuple[contracts.Column, ...], rows: list[Row]) -> bytes:
    def typed(column: contracts.Column, value: Any) -> Any:
        return datetime.fromisoformat(value) if value and column.type == "TIMESTAMPTZ" else value

    schema = pa.schema([(column.name, _arrow_type(column)) for column in columns])
    values = [{column.name: typed(column, row.get(column.name)) for column in columns} for row in rows]
    sink = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(values, schema), sink, compression="zstd", store_schema=False)
    return sink.getvalue()


def encode(drop: Drop, dataset: str, rows: list[Row]) -> bytes:
    """One file of a drop. Raises KeyError for a column the contract does not have."""
    columns = tuple(c for c in contract(drop.feed, dataset).columns if c.name not in UNSAID)
    names = [column.name for column in columns]
    if unknown := {name for row in rows for name in row} - set(names):
        raise KeyError(f"{drop.feed}.{dataset} has no columns {sorted(unknown)}")
    kind, _, packing = drop.format.partition(".")
    if kind == "parquet":
        return _parquet(columns, rows)
    if drop.bom and dataset == "lines":
        return b"\xef\xbb\xbf" + _csv(names, rows, "\r\n") + b"\r\n"
    data = _ndjson(names, rows) if kind == "ndjson" else _csv(names, rows, "\n")
    if packing == "gz":
        return gzip.compress(data, 9, mtime=0)  # no time inside: the same rows are the same bytes
    return zstandard.ZstdCompressor(level=19).compress(data) if packing == "zst" else data


def write(drop: Drop, root: Path) -> None:
    """Writes a drop under ``root``, its ``control.json`` last."""
    folder = root / drop.place
    folder.mkdir(parents=True)
    files = []
    for dataset, rows in sorted(drop.rows.items()):
        if dataset in ORDER:
            rows.sort(key=itemgetter(*ORDER[dataset]))
        data = encode(drop, dataset, rows)
        files.append({"name": drop.file(dataset), "rows": len(rows), "sha256": hashlib.sha256(data).hexdigest()})
        if drop.truncated and dataset == "lines":
            data = data[: len(data) * 2 // 3]
        (folder / drop.file(dataset)).write_bytes(data)
    control: dict[str, Any] = {
        "feed": drop.feed,
        "business_date": drop.business_date.isoformat(),
        "source": drop.source,
        "revision": drop.revision,
        "files": files,
    }
    for dataset in ("transactions", "orders"):
        if drop.totals and dataset in drop.rows:
            net = sum((row["net_amount"] for row in drop.rows[dataset]), Decimal("0.00"))
            control["totals"] = {dataset: len(drop.rows[dataset]), "net_amount": text(net)}
    (folder / "control.json").write_text(json.dumps(control, indent=1) + "\n", encoding="utf-8")


def read(path: Path) -> list[dict[str, str]]:
    """A file's rows as text, whatever its format (empty: '')."""
    data = path.read_bytes()
    names = path.name.split(".")[1:]
    if names[-1] == "gz":
        data = gzip.decompress(data)
    elif names[-1] == "zst":
        data = zstandard.decompress(data)
    if names[0] == "parquet":
        typed = pq.ParquetFile(io.BytesIO(data)).read().to_pylist()
    elif names[0] == "ndjson":
        typed = [json.loads(line, parse_float=Decimal) for line in data.decode().splitlines()]
    else:
        return list(csv.DictReader(io.StringIO(data.decode("utf-8-sig"), newline="")))
    return [{name: text(value) for name, value in row.items()} for row in typed]


def controls(root: Path) -> Iterator[tuple[Path, dict[str, Any]]]:
    """Every drop under ``root``: its folder and what its ``control.json`` says, in path order."""
    for path in sorted(root.glob("**/control.json")):
        yield path.parent, json.loads(path.read_text(encoding="utf-8"))

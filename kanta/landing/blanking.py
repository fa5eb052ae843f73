"""Blanking a person's rows in drops as they lie in the landing zone (spec/3-customers.md rule 10).

A row is a person's when one of its identifying columns names them, their operations, orders or cards; its columns
that the contract calls personal are emptied, all other bytes of the file stay. The control file gets the new hashes.
"""

from __future__ import annotations

import csv
import gzip
import hashlib
import io
import json
import re
import zlib
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import zstandard

from kanta.contracts import Contract
from kanta.home import Home
from kanta.landing.drops import CONTROL, FILE_NAME, datasets, feeds, stamp_of
from kanta.landing.spool import MAX_RATIO, RATIO_FROM

#: Which names a column holds, by its name in any contract of landing or lake.
NAMED_BY = {
    "account": "ids", "other_account": "ids", "customer_id": "ids", "async_id": "ids", "owner": "ids",
    "operation_id": "operations", "order_id": "orders", "transaction_id": "orders",
    "card_id": "cards", "loyalty_card_id": "cards", "from_card_id": "cards", "to_card_id": "cards",
}  # fmt: skip

#: Elements of a POSLog document that hold a customer's person; the document may break off in any of them.
_PERSON_ELEMENTS = re.compile(
    r"(<(?P<tag>(?:\w+:)?(?:Name|FullName|FirstName|GivenName|MiddleName|LastName|FamilyName|Title|Address|AddressLine"
    r"|Street|City|PostalCode|EMail|EMailAddress|Email|Telephone|TelephoneNumber|PhoneNumber|LocalNumber))\b[^>]*>)"
    r"[^<]+(?=</|\Z)"
)
_XML_TRANSACTION = re.compile(r"<(?P<tag>(?:\w+:)?Transaction)\b.*?(?:</(?P=tag)>|\Z)", re.DOTALL)


@dataclass(frozen=True)
class Names:
    """All names under which a person appears: accounts and GUIDs, operations, orders, cards."""

    ids: frozenset[str]
    operations: frozenset[str]
    orders: frozenset[str]
    cards: frozenset[str]

    def own(self, row: Mapping[str, Any]) -> bool:
        """Whether a row is the person's."""
        return any(column in NAMED_BY and value in getattr(self, NAMED_BY[column]) for column, value in row.items())

    @property
    def all(self) -> frozenset[str]:
        return self.ids | self.operations | self.orders | self.cards


@dataclass(frozen=True)
class Blanked:
    """A drop that was changed, as ``ops.drops`` has to know it so that it is not taken again."""

    drop_id: str
    control_sha256: str
    stamp: str
    files: str


def blank_drops(home: Home, names: Names, only: Collection[str] | None = None) -> list[Blanked]:
    """Empties the person's columns in every drop, or in those of ``only``; returns the drops that changed."""
    changed = []
    for feed in feeds():
        for control in sorted((home.landing / feed).glob(f"*/*/{CONTROL}")):
            drop_id = f"{feed}/{control.parent.parent.name}/{control.parent.name}"
            if (only is None or drop_id in only) and not control.is_symlink():
                found = _blank_drop(feed, drop_id, control, names)
                if found:
                    changed.append(found)
    return changed


def _blank_drop(feed: str, drop_id: str, control: Path, names: Names) -> Blanked | None:
    hashes: dict[str, tuple[str, str]] = {}
    for file in sorted(control.parent.iterdir()):
        match = FILE_NAME.fullmatch(file.name)
        if not match or file.is_symlink() or not file.is_file():
            continue
        before = file.read_bytes()
        after = _blanked(before, match[2], match[3] or "", datasets(feed).get(match[1]), names)
        if after is not None and after != before:
            hashes[file.name] = hashlib.sha256(before).hexdigest(), hashlib.sha256(after).hexdigest()
            _replace(file, after)
    if not hashes:
        return None
    return _control_again(drop_id, control, hashes)


def _control_again(drop_id: str, control: Path, hashes: Mapping[str, tuple[str, str]]) -> Blanked:
    """Writes the control file with the new hashes; one that was wrong before stays wrong."""
    try:
        document = json.loads(control.read_text(encoding="utf-8-sig"))
        for listed in document["files"]:
            old, new = hashes.get(listed["name"], ("", ""))
            if str(listed["sha256"]).lower() == old:
                listed["sha256"] = new
        files = [{key: listed[key] for key in ("name", "rows", "sha256")} for listed in document["files"]]
        _replace(control, json.dumps(document, indent=1).encode())
    except (ValueError, KeyError, TypeError):
        files = []  # no control file one can read: the drop was refused, and stays so
    status = control.stat()
    return Blanked(
        drop_id=drop_id,
        control_sha256=hashlib.sha256(control.read_bytes()).hexdigest(),
        stamp=stamp_of(status),
        files=json.dumps(files),
    )


def _replace(file: Path, data: bytes) -> None:
    part = file.with_name(f".{file.name}.part")
    part.write_bytes(data)
    part.replace(file)


def _blanked(data: bytes, form: str, compression: str, contract: Contract | None, names: Names) -> bytes | None:
    """The file's bytes with the person's columns emptied; None when nothing of it can be theirs or be read."""
    personal = {column.name for column in contract.columns if column.personal} if contract else set()
    if form != "xml" and not (personal and contract and NAMED_BY.keys() & set(contract.names)):
        return None
    if form == "parquet":
        return _parquet(data, personal, names)
    plain, broken_off = _decompressed(data, compression, names)
    text = plain.decode("utf-8", "surrogateescape")
    if not broken_off and not any(name in text for name in names.all):
        return None
    work: dict[str, Callable[[], str]] = {
        "csv": lambda: "".join(_csv(text, personal, names)),
        "ndjson": lambda: "".join(_json(line, personal, names) for line in text.splitlines(keepends=True)),
        "xml": lambda: _XML_TRANSACTION.sub(lambda found: _xml(found[0], names), text),
    }
    made = work[form]()
    if made == text and not broken_off:
        return None
    return _compressed(made.encode("utf-8", "surrogateescape"), compression)


def _decompressed(data: bytes, compression: str, names: Names) -> tuple[bytes, bool]:
    """The bytes of a file, of one that was cut off or is broken as far as they can be read.

    Of one that expands further than landing ever takes a file: the beginning, and whether the person is named after it,
    for then only the beginning can be kept.
    """
    if not compression:
        return data, False
    plain, beyond, searched = io.BytesIO(), b"", [name.encode() for name in names.all]
    longest, most = max(map(len, searched), default=0), max(RATIO_FROM, MAX_RATIO * len(data))
    source: Any = gzip.GzipFile(fileobj=io.BytesIO(data))
    if compression == "zst":
        source = zstandard.ZstdDecompressor().stream_reader(io.BytesIO(data), read_across_frames=True)
    with suppress(OSError, EOFError, zlib.error, zstandard.ZstdError):
        while piece := source.read1(1 << 16) if compression == "gz" else source.read(1 << 16):
            if plain.tell() + len(piece) <= most and not beyond:
                plain.write(piece)
                continue
            beyond = (beyond or plain.getvalue())[-longest:] + piece
            if any(name in beyond for name in searched):
                return plain.getvalue(), True
    return plain.getvalue(), False


def _compressed(data: bytes, compression: str) -> bytes:
    if compression == "gz":
        return gzip.compress(data, mtime=0)
    return zstandard.ZstdCompressor().compress(data) if compression == "zst" else data


def _records(text: str) -> Iterator[str]:
    """The records of a CSV text, each with its line end: a line break within quotes ends none."""
    record = ""
    for line in text.splitlines(keepends=True):
        record += line
        if record.count('"') % 2 == 0:
            yield record
            record = ""
    if record:
        yield record


def _csv(text: str, personal: Collection[str], names: Names) -> Iterator[str]:
    header: list[str] = []
    for record in _records(text):
        cells = next(csv.reader(io.StringIO(record, newline="")), [])
        if not header:
            header = [cell.removeprefix("\ufeff") for cell in cells]
        elif len(cells) == len(header):
            if names.own(dict(zip(header, cells, strict=True))):
                kept = ["" if name in personal else cell for name, cell in zip(header, cells, strict=True)]
                record = _line(kept, record)
        elif names.all & set(cells):  # no row one can read, and refused: nothing of it is kept but names
            record = _line([cell if cell in names.all else "" for cell in cells], record)
        yield record


def _line(cells: list[str], record: str) -> str:
    end = record[len(record.rstrip("\r\n")) :]
    out = io.StringIO(newline="")
    csv.writer(out, lineterminator=end).writerow(cells)
    return out.getvalue()


def _json(line: str, personal: Collection[str], names: Names) -> str:
    try:
        row = json.loads(line, parse_float=str)  # a number may be given as text, and stays as it was written
    except ValueError:
        row = None
    if isinstance(row, dict) and not names.own(row):
        return line
    if row is None and not any(name in line for name in names.all):
        return line
    end = line[len(line.rstrip("\r\n")) :]
    kept = {key: None if key in personal else value for key, value in row.items()} if isinstance(row, dict) else {}
    return json.dumps(kept, ensure_ascii=False) + end


def _xml(transaction: str, names: Names) -> str:
    if not any(f">{name}<" in transaction for name in names.ids):
        return transaction
    blank = re.compile(r"(<(?:\w+:)?Customer\b.*?(?:</(?:\w+:)?Customer>|\Z))", re.DOTALL)
    return blank.sub(lambda found: _PERSON_ELEMENTS.sub(r"\1", found[0]), transaction)


def _parquet(data: bytes, personal: Collection[str], names: Names) -> bytes | None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.read_table(pa.BufferReader(data))
    except (OSError, pa.ArrowInvalid):
        return None
    identifying = [name for name in table.column_names if name in NAMED_BY]
    theirs = [names.own(row) for row in table.select(identifying).to_pylist()]
    if not any(theirs):
        return None
    for place, name in enumerate(table.column_names):
        if name in personal:
            values = [None if own else value for own, value in zip(theirs, table.column(name).to_pylist(), strict=True)]
            table = table.set_column(place, table.schema.field(name), pa.array(values, table.schema.field(name).type))
    out = pa.BufferOutputStream()
    pq.write_table(table, out, compression="zstd")
    return bytes(out.getvalue().to_pybytes())

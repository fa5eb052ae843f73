"""Reading data files into spools: text files DuckDB then reads once for each dataset and header.

Opening a small file costs DuckDB five times what it costs Python, and a night has thousands of them. So each file
is read once here (hashed, unpacked within bounds, decoded strictly, its rows counted) and its rows are appended to a
spool, in which nothing needs quoting: fields end with the unit separator, and a line break inside a field is stored
as another control character. What cannot be told row from row refuses the drop; a row that is broken in itself keeps
its place and carries the broken rule as its flag, for the router to refuse.
"""

from __future__ import annotations

import csv
import gzip
import hashlib
import io
import json
import os
import re
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import Any, BinaryIO, cast

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import zstandard

from kanta.contracts import Contract
from kanta.foreign import BLANKS, END_OF_FILE, trimmed
from kanta.landing.drops import DataFile, DropError, open_file, shown
from kanta.landing.limits import Allowance, UnwrittenError
from kanta.landing.pages import MAX_FOOTER, footer_size, pages

SEPARATOR, BREAK, RETURN = "\x1f", "\x1e", "\x1d"
CONTROLS = ("\x00", RETURN, BREAK, SEPARATOR)  # what no text may hold, because spools mean something by it
BLOCK = 8 << 20
HELD = 1 << 20  # bytes of a spool that are written at once
MAX_ROW = 1 << 20  # characters; more is refused as that row
MAX_UNBROKEN = 64 << 20  # without a line break; more refuses the drop
MAX_RECORD = 16 << 20  # characters of a row of CSV with quotes; more refuses the drop
MAX_UNPACKED = 16 << 30
MAX_BATCH = 256 << 20  # bytes of text in 1,024 rows of Parquet
MAX_RATIO, RATIO_FROM = 200, 64 << 20  # unpacked to packed, once this much is unpacked
MAX_PACKED, PACKED_FROM = 4, 2 * BLOCK  # packed to unpacked, once this much is read; a part that is empty costs most
MAX_COLUMNS = 1000
BLANK_LINES = 10_000  # besides one for each row
_PADDED_LINES = (" ,", ", ", " \n", "\n ", "\t", "\x0b", "\x0c")  # a value of unquoted CSV may be padded
_PADDED_FIELDS = (f" {SEPARATOR}", f"{SEPARATOR} ", "\t", "\x0b", "\x0c", "\n", "\r")  # a field of a row may be
MAX_HEADERS = 8  # spools for one dataset; files with yet another header are put in the contract's order


class RawFile:
    """A data file as it lies there, hashed while it is read."""

    def __init__(self, folder: int, file: DataFile, allowance: Allowance) -> None:
        self.file, self.allowance = file, allowance
        self.descriptor = open_file(folder, file.name)
        self.size = os.fstat(self.descriptor).st_size
        self.left = self.size
        self.digest = hashlib.sha256()
        self.checked = False

    def __enter__(self) -> RawFile:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self.descriptor)

    def read(self, size: int = BLOCK) -> bytes:
        """At most ``size`` bytes; none at the end of the file."""
        try:
            data = os.read(self.descriptor, min(size, max(self.left, 0) + 1))
        except OSError as error:
            raise DropError("unreadable", f"the file cannot be read: {error.strerror}", self.file.name) from error
        self.left -= len(data)
        self.digest.update(data)
        return data

    def check_digest(self) -> None:
        """The file is what the control file says; reads what was not read yet. Nothing is read after it."""
        if self.checked:
            return
        while self.read():
            pass
        self.checked = True
        if self.digest.hexdigest() != self.file.sha256:
            raise DropError("sha256", "the file is not the one the control file was written for", self.file.name)


class _Packed:
    """A packed file as it is unpacked: its parts hold something, for thousands of empty ones take longest."""

    def __init__(self, raw: RawFile) -> None:
        self.raw, self.packed, self.unpacked = raw, 0, 0

    def read(self, size: int = BLOCK) -> bytes:
        data = self.raw.read(size)
        self.packed += len(data)
        if self.packed > MAX_PACKED * self.unpacked + PACKED_FROM:
            raise DropError("unpacking", "the file is mostly packed parts that hold nothing", self.raw.file.name)
        return data


def blocks(raw: RawFile) -> Iterator[bytes]:
    """The unpacked bytes of a file; more than a real file would hold is a zip bomb."""
    packed, reader = _Packed(raw), cast(Any, raw)
    if raw.file.compression == "gz":
        reader = gzip.GzipFile(fileobj=cast(BinaryIO, packed))
    elif raw.file.compression == "zst":
        reader = zstandard.ZstdDecompressor(max_window_size=1 << 27).stream_reader(
            cast(BinaryIO, packed), read_across_frames=True, closefd=False
        )
    while True:
        try:
            block = reader.read(BLOCK)
        except (EOFError, OSError, zlib.error, zstandard.ZstdError) as error:
            raise DropError(
                "unpacking", "the file is not whole or not packed as its name says", raw.file.name
            ) from error
        if not block:
            return
        packed.unpacked += len(block)
        raw.allowance.count("unpacked_megabytes", len(block), raw.file.name)
        if packed.unpacked > MAX_UNPACKED or (packed.unpacked > RATIO_FROM and packed.unpacked > MAX_RATIO * raw.size):
            raise DropError("zip_bomb", "the file unpacks to more than a data file would hold", raw.file.name)
        yield block


def texts(raw: RawFile) -> Iterator[str]:
    """The file as text, in pieces that end with a line feed (the last one may not), without the marks some programs
    put at its beginning (byte order) and its end (Ctrl-Z)."""
    first, held = True, ""
    for lines in _lines(raw):
        try:
            text = lines.decode("utf-8")
        except UnicodeDecodeError as error:
            kind = "UTF-16" if first and lines[:2] in (b"\xff\xfe", b"\xfe\xff") else "something else"
            raise DropError("encoding", f"the file is not UTF-8 but {kind}", raw.file.name) from error
        if first:
            text, first = text.removeprefix("\ufeff"), False
        if held:
            yield held
        held = text
    if END_OF_FILE in held:
        held = _without_end_mark(held)
    if held:
        yield held


def _without_end_mark(text: str) -> str:
    """The end of a file without its Ctrl-Z: the very last sign, or a line by itself; elsewhere it is of a value."""
    kept = text.rstrip(END_OF_FILE + BLANKS)
    if text.endswith(END_OF_FILE):
        return text.rstrip(END_OF_FILE)
    before, mark, after = text[len(kept) :].partition(END_OF_FILE)
    alone = not kept or "\n" in before
    return kept + before if mark and alone and not after.strip(END_OF_FILE + BLANKS) else text


def _lines(raw: RawFile) -> Iterator[bytes]:
    """Whole lines, as many as a block holds; at last what stands behind the last line feed."""
    rest = b""
    for block in blocks(raw):
        cut = block.rfind(b"\n") + 1
        if cut:
            yield rest + block[:cut]
            rest = block[cut:]
        elif len(rest) + len(block) > MAX_UNBROKEN:
            raise DropError("oversized", "64 MB without a line break", raw.file.name)
        else:
            rest += block
    if rest:
        yield rest


@dataclass
class Spool:
    """One spool: the rows of all files of a dataset that have the same header."""

    contract: Contract
    columns: tuple[str, ...]
    escaped: bool  # may hold BREAK and RETURN, and numbers its rows itself
    path: Path
    stream: Growing = field(repr=False)
    unknown: tuple[str, ...] = ()  # columns the contract does not know
    rows: int = 0
    padded: bool = False  # a value may begin or end with blanks, which the router then takes off


class Growing(io.FileIO):
    """A file of ours that only grows, and can be taken back to where it ended before. Raises ``UnwrittenError``.

    What is not written yet is held here and not in a ``BufferedWriter``, which cannot be told to forget: a drop that
    fills the disk is taken out again, and what earlier drops brought stays.
    """

    def __init__(self, path: Path) -> None:
        self.held = bytearray()
        self.written = 0
        try:
            super().__init__(path, "wb")
        except OSError as error:
            raise UnwrittenError(error) from error

    def write(self, data: Any) -> int:
        """Takes all of ``data``."""
        if len(self.held) + len(data) < HELD:
            self.held += data
            return len(data)
        self.flush()
        rest = memoryview(data)
        while rest:
            rest = rest[self.put(rest) :]
        return len(data)

    def flush(self) -> None:
        """Writes what is held; what the disk does not take stays held."""
        while self.held:
            del self.held[: self.put(self.held)]

    def put(self, data: Any) -> int:
        """Writes as much of ``data`` as the disk takes at once."""
        try:
            count = super().write(data) or 0
        except OSError as error:
            raise UnwrittenError(error) from error
        self.written += count
        return count

    @property
    def end(self) -> int:
        """Where the file ends, with what is held."""
        return self.written + len(self.held)

    def back(self, end: int) -> None:
        """Forgets what came after ``end``."""
        del self.held[max(end - self.written, 0) :]
        if end < self.written:
            self.truncate(end)
            self.seek(end)
            self.written = end

    def close(self) -> None:
        """Writes the rest; closed in any case."""
        try:
            if not self.closed:
                self.flush()
        finally:
            self.held.clear()
            try:
                super().close()
            except OSError as error:  # where a quota is checked only now
                raise UnwrittenError(error) from error


@dataclass
class Spools:
    """All spools of a take, under ``folder``; ``allowance`` is what the drop that is read now may bring.

    A context: at its end no spool is open any more.
    """

    folder: Path
    allowance: Allowance
    all: list[Spool] = field(default_factory=list)
    _plain: dict[tuple[str, str], Spool] = field(default_factory=dict)
    _ordered: dict[str, Spool] = field(default_factory=dict)

    def plain(self, contract: Contract, header: str) -> Spool | None:
        """The spool of files with this header line, if there is one."""
        return self._plain.get((contract.name, header))

    def new_plain(self, contract: Contract, header: str, columns: tuple[str, ...]) -> Spool | None:
        """A spool for files with this header line; None when the dataset came with too many different ones."""
        if sum(name == contract.name for name, _ in self._plain) >= MAX_HEADERS:
            return None
        spool = self._plain[(contract.name, header)] = self._open(contract, columns, escaped=False)
        return spool

    def ordered(self, contract: Contract) -> Spool:
        """The spool whose columns are the contract's, for everything that is not taken over as it stands."""
        spool = self._ordered.get(contract.name)
        if spool is None:
            spool = self._ordered[contract.name] = self._open(contract, contract.names, escaped=True)
        return spool

    def _open(self, contract: Contract, columns: tuple[str, ...], *, escaped: bool) -> Spool:
        path = self.folder / f"{contract.dataset}-{len(self.all)}"
        unknown = tuple(sorted(set(columns) - set(contract.names)))
        self.all.append(Spool(contract, columns, escaped, path, Growing(path), unknown))
        return self.all[-1]

    def ends(self) -> list[tuple[int, int]]:
        """Where each spool ends now, in bytes and in rows: what :meth:`back` goes back to."""
        return [(spool.stream.end, spool.rows) for spool in self.all]

    def size(self) -> int:
        """Bytes of all spools."""
        return sum(spool.stream.end for spool in self.all)

    def back(self, ends: list[tuple[int, int]]) -> None:
        """Takes out what was added since ``ends``; spools begun since then stay, empty."""
        for n, spool in enumerate(self.all):
            end, spool.rows = ends[n] if n < len(ends) else (0, 0)
            spool.stream.back(end)

    def __enter__(self) -> Spools:
        return self

    def __exit__(self, *_: object) -> None:
        """Ends writing and forgets what was not written yet."""
        for spool in self.all:
            spool.stream.held.clear()
            with suppress(UnwrittenError):
                spool.stream.close()

    def close(self) -> None:
        """Ends writing; the router reads them. Raises ``UnwrittenError``."""
        for spool in self.all:
            spool.stream.close()


def _may_be_padded(text: str, signs: Sequence[str]) -> bool:
    """Whether a value in rows of text may begin or end with blanks; said quickly, so of some that do not, too."""
    return text[:1] == " " or text[-1:] == " " or any(map(text.__contains__, signs)) or not text.isascii()


def write_row(spool: Spool, file_no: int, line: int, flag: str, fields: Sequence[str]) -> None:
    """Appends one row in the contract's column order to an ordered spool; ``flag`` is a rule it breaks as text."""
    text = SEPARATOR.join(fields)
    if len(text) > MAX_ROW:
        flag, text = flag or "length", SEPARATOR.join([value[:200] for value in fields])
    if text.count(SEPARATOR) != len(fields) - 1 or any(control in text for control in CONTROLS[:3]):
        flag = flag or "control_character"
        text = SEPARATOR.join(["".join(c for c in value if c not in CONTROLS) for value in fields])
    spool.padded = spool.padded or _may_be_padded(text, _PADDED_FIELDS)
    if "\n" in text or "\r" in text:
        text = text.replace("\n", BREAK).replace("\r", RETURN)
    try:
        data = text.encode()
    except UnicodeEncodeError:  # half a surrogate pair, written as an escape in JSON
        flag, data = flag or "control_character", text.encode(errors="replace")
    spool.rows += 1
    head = f"{file_no}{SEPARATOR}{line}{SEPARATOR}{spool.rows}{SEPARATOR}{flag}{SEPARATOR}"
    spool.stream.write(head.encode() + data + b"\n")


@dataclass(frozen=True)
class Target:
    """Where the rows of one file go; ``unknown`` is told each column the contract does not know."""

    contract: Contract
    file_no: int
    spools: Spools
    unknown: Callable[[str], None]


def read(folder: int, file: DataFile, target: Target) -> int:
    """Spools a csv, ndjson or parquet file; returns its rows, which are as many as the control file says.

    Raises ``DropError``, ``UnwrittenError``.
    """
    readers = {"csv": _read_csv, "ndjson": _read_ndjson, "parquet": _read_parquet}
    with RawFile(folder, file, target.spools.allowance) as raw:
        rows = readers[file.format](raw, target)
        raw.check_digest()
    _check_count(file, rows)
    return rows


def _check_header(file: DataFile, names: Sequence[str], target: Target) -> None:
    """Every column that must be there is there, and none twice."""
    if len(names) > MAX_COLUMNS:
        raise DropError("header", f"more than {MAX_COLUMNS} columns", file.name)
    present = set(names)
    if len(present) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise DropError("header", f"column {shown(twice)!r} stands twice", file.name)
    for column in target.contract.columns:
        if column.name not in present and not column.optional:
            raise DropError("header", f"column {column.name} is missing", file.name)
    for name in sorted(present - set(target.contract.names)):
        target.unknown(shown(name))


def _read_csv(raw: RawFile, target: Target) -> int:
    pieces = texts(raw)
    rows = line = 0
    header: tuple[str, ...] | None = None
    spool: Spool | None = None
    for piece in pieces:
        text = piece.replace("\r\n", "\n") if "\r" in piece else piece
        if '"' in text or "\r" in text or any(map(text.__contains__, CONTROLS)):
            return rows + _read_quoted(raw, chain((piece,), pieces), line, header, target)
        lines = text.split("\n")
        if not lines[-1]:
            lines.pop()
        start = 0
        if spool is None:
            start = next((n for n, one in enumerate(lines, 1) if trimmed(one)), 0)
            if not start:
                line += len(lines)
                _check_lines(raw.file, line)
                continue
            header, spool = _plain_header(raw, lines[start - 1], target)
            if spool is None:
                body = "\n".join(lines[start:])
                return _read_quoted(raw, chain((body,), pieces), line + start, header, target)
        spool.padded = spool.padded or _may_be_padded(text, _PADDED_LINES)
        _check_lines(raw.file, line + len(lines))
        rows += _append_lines(spool, lines[start:], line + start + 1, target.file_no)
        line += len(lines)
        _check_count(raw.file, rows, so_far=True)
    if header is None:
        raise DropError("header", "the file has no header", raw.file.name)
    return rows


def _plain_header(raw: RawFile, line: str, target: Target) -> tuple[tuple[str, ...], Spool | None]:
    """The columns of a header line without quotes, and the spool of files that have it."""
    spool = target.spools.plain(target.contract, line)
    if spool:
        for name in spool.unknown:
            target.unknown(shown(name))
        return spool.columns, spool
    columns = tuple(map(trimmed, line.split(",")))
    _check_header(raw.file, columns, target)
    return columns, target.spools.new_plain(target.contract, line, columns)


def _append_lines(spool: Spool, lines: list[str], first: int, file_no: int) -> int:
    """Takes over lines without quotes as they stand; returns the number of rows."""
    commas = len(spool.columns) - 1
    sound = {line.count(",") for line in lines} <= {commas}
    if not sound or max(map(len, lines), default=0) > MAX_ROW:
        return sum(_append_line(spool, line, n, file_no) for n, line in enumerate(lines, first))
    head = f"{file_no}{SEPARATOR}"
    out = [f"{head}{n}{SEPARATOR}{SEPARATOR}{line}\n" for n, line in enumerate(lines, first)]
    # no line holds a separator yet, so all commas are
    spool.stream.write("".join(out).replace(",", SEPARATOR).encode())
    return len(lines)


def _append_line(spool: Spool, line: str, number: int, file_no: int) -> int:
    if not trimmed(line):
        return 0
    fields, flag = line.split(",", len(spool.columns)), ""
    if len(fields) != len(spool.columns):
        fields, flag = _fitted(fields, len(spool.columns)), "columns"
    if len(line) > MAX_ROW:
        fields, flag = [value[:200] for value in fields], flag or "length"
    row = SEPARATOR.join([str(file_no), str(number), flag, *fields])
    spool.stream.write(row.encode() + b"\n")
    return 1


def _fitted(fields: list[str], width: int) -> list[str]:
    """A row with too few or too many fields, made to fit so that what it holds can be shown."""
    if len(fields) < width:
        return fields + [""] * (width - len(fields))
    return [*fields[: width - 1], ",".join(fields[width - 1 :])]


def _read_quoted(raw: RawFile, pieces: Iterable[str], line: int, header: tuple[str, ...] | None, target: Target) -> int:
    """The rest of a CSV file, by the rules of RFC 4180; ``line`` lines of it were read before."""
    spool = target.spools.ordered(target.contract)
    csv.field_size_limit(MAX_UNBROKEN)
    held = 0

    def lines() -> Iterator[str]:
        nonlocal held
        for text in chain.from_iterable(io.StringIO(piece, newline="") for piece in pieces):
            held += len(text)
            if held > MAX_RECORD:
                raise DropError(
                    "oversized", f"{MAX_RECORD >> 20} MB without the end of a row", raw.file.name, begun + 1
                )
            yield text

    reader = csv.reader(lines(), strict=True)
    order: list[int] | None = _order(spool, header) if header else None
    rows = blank = 0
    begun = line
    try:
        for fields in reader:
            number, begun, held = begun + 1, line + reader.line_num, 0
            if not fields or (len(fields) == 1 and not trimmed(fields[0])):
                blank += 1
                _check_lines(raw.file, blank)
                continue
            if header is None or order is None:
                header = tuple(map(trimmed, fields))
                _check_header(raw.file, header, target)
                order = _order(spool, header)
                continue
            flag = ""
            if len(fields) != len(header):
                fields, flag = _fitted(fields, len(header)), "columns"
            fields.append("")
            write_row(spool, target.file_no, number, flag, [fields[i] for i in order])
            rows += 1
            if rows > raw.file.rows:
                _check_count(raw.file, rows, so_far=True)
    except csv.Error as error:
        raise DropError("csv", f"not CSV by RFC 4180: {error}", raw.file.name, begun + 1) from error
    if header is None:
        raise DropError("header", "the file has no header", raw.file.name)
    return rows


def _order(spool: Spool, header: tuple[str, ...]) -> list[int]:
    """Where each column of the contract stands in a header; a column that is missing after its end."""
    return [header.index(name) if name in header else len(header) for name in spool.columns]


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a key stands twice")
    return found


def _no_constant(text: str) -> Any:
    raise ValueError(f"{text} is not JSON")


# numbers stay text, so that no decimal passes through a float
JSON = json.JSONDecoder(parse_float=str, parse_int=str, parse_constant=_no_constant, object_pairs_hook=_unique)


def _read_ndjson(raw: RawFile, target: Target) -> int:
    contract = target.contract
    spool = target.spools.ordered(contract)
    names, nested = set(contract.names), [column.type == "JSON" for column in contract.columns]
    rows = line = 0
    strange: set[str] = set()
    for piece in texts(raw):
        lines = piece.removesuffix("\n").split("\n")
        _check_lines(raw.file, line + len(lines))
        for text in lines:
            line += 1
            if not trimmed(text):
                continue
            rows += 1
            fields, flag = [""] * len(names), "length"
            try:
                if len(text) <= MAX_ROW:
                    item = JSON.decode(trimmed(text))
                    fields, flag = _json_fields(item, spool.columns, nested, text)
                    if len(strange) < MAX_COLUMNS:
                        strange.update(item.keys() - names)
            except (ValueError, RecursionError):
                flag = "json"
            if flag in ("json", "length"):
                fields = _key_alone(text, contract, spool.columns)
            write_row(spool, target.file_no, line, flag, fields)
        _check_count(raw.file, rows, so_far=True)
    for name in sorted(strange):
        target.unknown(shown(name))
    return rows


def _key_alone(text: str, contract: Contract, names: tuple[str, ...]) -> list[str]:
    """The record a line that was not read belongs to, where it can be told: the rest of it is refused with the line."""
    fields = dict.fromkeys(names, "")
    for name in contract.record_key:
        found = re.search(rf'"{name}"\s*:\s*(?:("(?:[^"\\]|\\.){{0,300}}")|([\w.-]{{1,40}}))', text)
        if found:
            try:
                fields[name] = str(json.loads(found[1], strict=False)) if found[1] else found[2]
            except ValueError:  # an escape that JSON does not have
                fields[name] = found[1][1:-1]
    return list(fields.values())


def _json_fields(item: Any, names: tuple[str, ...], nested: list[bool], text: str) -> tuple[list[str], str]:
    """The columns of one line, and the rule it breaks; raises ``ValueError`` when it is no object."""
    if not isinstance(item, dict):
        raise ValueError("not an object")
    fields, flag = [], ""
    for name, may_nest in zip(names, nested, strict=True):
        value = item.get(name)
        if isinstance(value, str):
            fields.append(value)
        elif value is None:
            fields.append("")
        elif isinstance(value, bool):
            fields.append("true" if value else "false")
        else:
            flag = flag if may_nest else "nested"
            # numbers in it are numbers again: as a document, it is not ours to read
            fields.append(json.dumps(json.loads(text)[name], ensure_ascii=False))
    return fields, flag


def _read_parquet(raw: RawFile, target: Target) -> int:
    file, contract = raw.file, target.contract
    raw.check_digest()  # before anything in it is believed
    try:
        if footer_size(raw.descriptor, raw.size) > MAX_FOOTER:
            raise DropError("parquet", f"its footer is larger than {MAX_FOOTER >> 20} MB", file.name)
        with os.fdopen(os.dup(raw.descriptor), "rb") as source:
            source.seek(0)
            parquet = pq.ParquetFile(source)
            _check_footer(raw, parquet.metadata)
            schema = parquet.schema_arrow
            _check_header(file, schema.names, target)
            wanted = [name for name in contract.names if name in schema.names]
            for name in wanted:
                _check_parquet_type(file, name, schema.field(name).type, contract)
            # as dictionaries, so that a long text that stands often is unpacked only when it is sane
            delta = _delta_encoded(parquet.metadata)
            is_text = [name for name in wanted if _is_text(schema.field(name).type) and name not in delta]
            reader = pq.ParquetFile(source, read_dictionary=is_text, pre_buffer=False)
            size, groups = _at_once(raw, parquet.metadata, wanted), range(parquet.metadata.num_row_groups)
            filled = [n for n in groups if parquet.metadata.row_group(n).num_rows]
            return _spool_batches(reader.iter_batches(size, row_groups=filled, columns=wanted), raw, target)
    except MemoryError:
        raise
    except (pa.ArrowException, OSError, ValueError) as error:
        raise DropError("parquet", "not a Parquet file, or not whole", file.name) from error


def _delta_encoded(footer: pq.FileMetaData) -> set[str]:
    """Columns that the library cannot read as dictionaries, because their values are told by the ones before."""
    groups = [footer.row_group(n) for n in range(footer.num_row_groups)]
    chunks = (group.column(n) for group in groups for n in range(group.num_columns))
    return {chunk.path_in_schema for chunk in chunks if any("DELTA" in name for name in chunk.encodings)}


def _at_once(raw: RawFile, footer: pq.FileMetaData, columns: Sequence[str]) -> int:
    """How many rows are unpacked at once, by what the pages claim: what they need together fits in memory."""
    claimed = pages(raw.descriptor, footer, set(columns))
    _check_unpacked(raw, claimed.unpacked)
    if claimed.largest > 2 * MAX_BATCH or claimed.row > MAX_BATCH:
        raise DropError("zip_bomb", "the file unpacks to more than a data file would hold", raw.file.name)
    return min(1024, MAX_BATCH // max(claimed.row, 1))


def _check_footer(raw: RawFile, footer: pq.FileMetaData) -> None:
    """Before any page is read: as many rows as the control file says, and no more bytes than a data file holds."""
    _check_count(raw.file, footer.num_rows)
    groups = [footer.row_group(n) for n in range(footer.num_row_groups)]
    _check_unpacked(raw, sum(group.total_byte_size for group in groups))


def _check_unpacked(raw: RawFile, unpacked: int) -> None:
    """What a file is about to unpack to is no more than a data file holds, nor than its drop may."""
    raw.allowance.expect("unpacked_megabytes", unpacked, raw.file.name)
    if unpacked > MAX_UNPACKED or (unpacked > RATIO_FROM and unpacked > MAX_RATIO * raw.size):
        raise DropError("zip_bomb", "the file unpacks to more than a data file would hold", raw.file.name)


def _check_count(file: DataFile, rows: int, *, so_far: bool = False) -> None:
    """The rows are as many as the control file says; ``so_far``: no more than that, while they are read."""
    if rows > file.rows or (rows < file.rows and not so_far):
        held = f"more than {file.rows}" if so_far else f"{rows}"
        raise DropError("rows", f"the file holds {held} rows, the control file says {file.rows}", file.name)


def _check_lines(file: DataFile, lines: int) -> None:
    """There are not many more lines than rows: blank ones are passed over, and each costs as much as a row."""
    if lines > 2 * file.rows + BLANK_LINES:
        raise DropError(
            "rows", f"the file has {lines} lines or more, the control file says {file.rows} rows", file.name
        )


def _check_parquet_type(file: DataFile, name: str, kind: pa.DataType, contract: Contract) -> None:
    column = contract.column(name)
    if pa.types.is_floating(kind) and column.type.startswith("DECIMAL"):
        raise DropError("money_as_float", f"column {name} is floating point", file.name)
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    known = (
        _is_text, pa.types.is_integer, pa.types.is_floating, pa.types.is_decimal, pa.types.is_date,
        pa.types.is_timestamp, pa.types.is_boolean, pa.types.is_null,
    )  # fmt: skip
    if not any(test(kind) for test in known):
        raise DropError("header", f"column {name} has a type no text stands for", file.name)


def _spool_batches(batches: Iterable[pa.RecordBatch], raw: RawFile, target: Target) -> int:
    spool = target.spools.ordered(target.contract)
    rows = unpacked = 0
    for batch in batches:
        columns = dict(zip(batch.schema.names, batch.columns, strict=True))
        size = sum(_text_size(column) for column in columns.values())
        unpacked += size
        raw.allowance.count("unpacked_megabytes", size, raw.file.name)
        if size > MAX_BATCH or (unpacked > RATIO_FROM and unpacked > MAX_RATIO * raw.size):
            raise DropError("zip_bomb", "the file unpacks to more than a data file would hold", raw.file.name)
        empty = [""] * batch.num_rows
        values = [
            as_text(columns[column.name], day=column.type == "DATE") if column.name in columns else empty
            for column in spool.contract.columns
        ]
        for number, fields in enumerate(zip(*values, strict=True), rows + 1):
            write_row(spool, target.file_no, number, "", fields)
        rows += batch.num_rows
        _check_count(raw.file, rows, so_far=True)
    return rows


def _is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))


def _text_size(column: pa.Array) -> int:
    """About how many bytes the column's rows are as text; a dictionary's entries count as often as they stand."""
    if pa.types.is_dictionary(column.type) and _is_text(column.type.value_type):
        lengths = pc.take(pc.binary_length(column.dictionary), column.indices)
    elif _is_text(column.type):
        lengths = pc.binary_length(column)
    else:
        return len(column)
    return len(column) + (pc.sum(pc.cast(lengths, pa.int64())).as_py() or 0)


def as_text(column: pa.Array, *, day: bool = False) -> list[str]:
    """Values in the form CSV has them in: ISO dates, times in UTC, true and false, exact decimals; null is empty.

    ``day``: a date is wanted, and of a moment it is that of its own zone.
    """
    kind = column.type
    if pa.types.is_dictionary(kind):
        column = column.cast(kind.value_type)
        kind = kind.value_type
    if day and pa.types.is_timestamp(kind) and kind.tz is not None:
        column = pc.local_timestamp(column)
        kind = column.type
    if pa.types.is_timestamp(kind) and kind.tz is not None:
        column = pc.strftime(column.cast(pa.timestamp(kind.unit, "UTC")), format="%Y-%m-%dT%H:%M:%SZ")
    elif pa.types.is_timestamp(kind):  # without zone: no moment, the router refuses it where a moment must stand
        column = pc.strftime(column, format="%Y-%m-%dT%H:%M:%S")
    elif pa.types.is_decimal(kind):  # a cast to text would write 1E-8
        return ["" if value is None else format(value, "f") for value in column.to_pylist()]
    elif pa.types.is_boolean(kind):
        column = pc.if_else(column, "true", "false")
    elif not pa.types.is_string(kind):
        column = column.cast(pa.string())
    return [value or "" for value in cast(list[str | None], column.to_pylist())]

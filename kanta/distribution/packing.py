"""Packages' files: the rows of all databases that get one, streamed in one pass for each dataset and format.

A database's rows come in a row, so one file is written at a time. What all databases share is written once for each
state they stand at. Until they are sent, all of a job's files lie one behind another in a single one: thousands of
small files would cost more than what is in them. Memory: one batch of rows, one Parquet file, and a few hundred bytes
for each file, whatever the packages hold.
"""

from __future__ import annotations

import hashlib
import os
import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import Any, Protocol

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from kanta.contracts import Contract
from kanta.distribution import formats, keys
from kanta.distribution.protocol import DatasetFile, contract
from kanta.distribution.view import is_shared
from kanta.engine import Engine

_BATCH = 100_000

#: A full package's ``since``: everything is put, nothing deleted.
FULL = -1


@dataclass(frozen=True)
class Piece:
    """A file as it is to be sent: where in the staging file its bytes lie, and their hash."""

    path: Path
    start: int
    size: int
    sha256: str

    def read(self) -> bytes:
        """Its bytes."""
        with self.path.open("rb", buffering=0) as file:
            return os.pread(file.fileno(), self.size, self.start)


class Staging:
    """A file that others are written into, one behind another, hashed on the way.

    Nothing of it is synced: what a machine that goes down leaves is made anew, and counts only once it is sent.
    """

    def __init__(self, path: Path) -> None:
        self._path, self._file, self._size = path, path.open("xb", buffering=0), 0
        self.begin()

    def __enter__(self) -> Staging:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def begin(self) -> None:
        """Begins a file behind what is there, be it whole or not."""
        self._start, self._hash = self._size, hashlib.sha256()

    def write(self, content: bytes | memoryview) -> None:
        """Goes on with it. Raises OSError."""
        self._hash.update(content)
        rest = memoryview(content).cast("B")
        while rest:
            written = self._file.write(rest)
            self._size += written
            rest = rest[written:]

    def end(self) -> Piece:
        """The file that was begun."""
        return Piece(self._path, self._start, self._size - self._start, self._hash.hexdigest())


@dataclass(frozen=True)
class Part:
    """One dataset's rows as they lie in a file or, for Xstore, in a part of one."""

    piece: Piece
    rows: int
    deletes: int


@dataclass
class Parcel:
    """What is to be sent to one database, and its files once they are made.

    ``since``: what changed after this mark goes into it; FULL: all. ``problem``: why it could not be made, if it could
    not; other parcels are not concerned.
    """

    database: str
    job: str
    sequence: int
    business_date: date
    form: str
    since: int
    datasets: Sequence[str]
    recipient: str | None = None
    empty: bool = False
    files: dict[str, Piece] = field(default_factory=dict)
    entries: dict[str, DatasetFile] = field(default_factory=dict)
    problem: str = ""
    parts: dict[str, Part | str] = field(default_factory=dict)


def pack(engine: Engine, parcels: Sequence[Parcel], staging: Staging) -> None:
    """Writes the files of one job's parcels into ``staging``. ``sent.*`` and the datasets must be worked out."""
    for form in sorted({parcel.form for parcel in parcels}):
        of_form = [parcel for parcel in parcels if parcel.form == form]
        with_rows = {parcel.database: parcel for parcel in of_form if not parcel.empty}
        for dataset in of_form[0].datasets:
            for database, part in _parts(engine, form, dataset, list(with_rows.values()), staging):
                with_rows[database].parts[dataset] = part
        for parcel in of_form:
            finish(parcel, staging)


def _parts(
    engine: Engine, form: str, dataset: str, parcels: Sequence[Parcel], staging: Staging
) -> Iterator[tuple[str, Part | str]]:
    """One dataset's rows of each parcel that has any; a text says what went wrong with one."""
    shared = is_shared(dataset)
    wanted = {str(parcel.since) if shared else parcel.database: parcel.since for parcel in parcels}
    if not wanted or (FULL not in wanted.values() and min(wanted.values()) > _newest(engine, dataset)):
        return
    table = pa.table({"label": pa.array(wanted, pa.string()), "since": pa.array(wanted.values(), pa.int64())})
    engine.register("distribution._wanted", table)
    of = contract(dataset)
    made: dict[str, Part | str] = {}
    runs = _runs(engine, form, _rows(of, shared, set(wanted.values())), of)
    for label, of_label in groupby(runs, key=itemgetter(0)):
        made[label] = _write(form, of, staging, of_label)
    for parcel in parcels:
        if part := made.get(str(parcel.since) if shared else parcel.database):
            yield parcel.database, part


def _newest(engine: Engine, dataset: str) -> int:
    """The mark of the last change of a dataset, of whatever database: a delta from there on has none of its rows."""
    return int(engine.value(f"select coalesce(max(changed_at), 0) from sent.{dataset}")) - 1


def _runs(engine: Engine, form: str, rows: str, of: Contract) -> Iterator[tuple[str, int, int, Any]]:
    """A dataset's rows by label and key: (label, rows, tombstones, their text or their columns), a run at a time."""
    order = ", ".join(("label", *of.key))
    select = f"select label, op = 'D' as gone, {formats.projection(form, of)} from ({rows}) order by {order}"
    for batch in engine.con.sql(select).to_arrow_reader(_BATCH):
        if not batch.num_rows:
            continue
        labels, gone = batch.column("label"), batch.column("gone")
        first = 0
        for end in pc.run_end_encode(labels).run_ends.to_pylist():
            deletes = pc.sum(gone.slice(first, end - first)).as_py() or 0
            payload = batch.slice(first, end - first) if form == "parquet" else _text(batch.column("line"), first, end)
            yield labels[first].as_py(), end - first, deletes, payload
            first = end


def _text(lines: Any, first: int, end: int) -> memoryview:
    """The bytes of lines that lie behind one another, without a copy."""
    _, starts, text = lines.buffers()
    offsets = memoryview(starts).cast("i")[lines.offset :]
    return memoryview(text)[offsets[first] : offsets[end]]


def _rows(of: Contract, shared: bool, since: set[int]) -> str:
    """The SQL of what each label is to get: all rows, or what changed since its mark (of ``since``)."""
    now, sent = f"distribution._{of.dataset}", f"sent.{of.dataset}"
    texts = {column.name for column in of.columns if column.key and column.type == "VARCHAR"}
    values = ", ".join(f"coalesce(now.{n}, '') as {n}" if n in texts else f"now.{n}" for n in of.names)
    key = " and ".join(f"coalesce(now.{n}, '') = sent.{n}" if n in texts else f"now.{n} = sent.{n}" for n in of.key) + (
        "" if shared else " and now.database = sent.database"
    )
    nulls = ", ".join(f"sent.{c.name}" if c.key else f"cast(null as {c.type}) as {c.name}" for c in of.columns)
    here = "true" if shared else "{}.database = wanted.label"
    full = f"""
        select wanted.label, 'U' as op, {values}
        from distribution._wanted as wanted
        inner join {now} as now on {here.format("now")}
        where wanted.since = {FULL}"""
    changed = f"""
        from distribution._wanted as wanted
        inner join {sent} as sent on {here.format("sent")} and sent.changed_at > wanted.since"""
    delta = f"""
        select wanted.label, 'U' as op, {values} {changed}
        inner join {now} as now on {key}
        where wanted.since <> {FULL} and sent.fingerprint is not null
        union all
        select wanted.label, 'D' as op, {nulls} {changed}
        where wanted.since <> {FULL} and sent.fingerprint is null"""
    return " union all ".join([full] * (FULL in since) + [delta] * bool(since - {FULL}))


# ── one file ─────────────────────────────────────────────────────────────────────────────────────────────────────


class _Writer(Protocol):
    def add(self, payload: Any) -> None: ...

    def end(self) -> None: ...


class _Gzip:
    """Text, packed. zlib's own gzip header holds neither name nor time, so the same rows give the same bytes."""

    def __init__(self, file: Staging, head: bytes) -> None:
        self._file, self._gzip = file, zlib.compressobj(6, zlib.DEFLATED, 31)
        self.add(head)

    def add(self, payload: bytes | memoryview) -> None:
        if packed := self._gzip.compress(payload):
            self._file.write(packed)

    def end(self) -> None:
        self._file.write(self._gzip.flush())


class _Plain:
    def __init__(self, file: Staging) -> None:
        self._file = file

    def add(self, payload: bytes | memoryview) -> None:
        self._file.write(payload)

    def end(self) -> None:
        pass


class _Parquet:
    def __init__(self, file: Staging, of: Contract) -> None:
        self._file, self._names = file, ["op", *of.names]
        self._whole = pa.BufferOutputStream()
        self._writer: pq.ParquetWriter | None = None

    def add(self, payload: pa.RecordBatch) -> None:
        rows = payload.select(self._names)
        if self._writer is None:
            self._writer = pq.ParquetWriter(self._whole, rows.schema, compression="zstd")
        self._writer.write_batch(rows)

    def end(self) -> None:
        if self._writer is not None:
            self._writer.close()
        self._file.write(memoryview(self._whole.getvalue()))


def _write(form: str, of: Contract, file: Staging, runs: Iterable[tuple[str, int, int, Any]]) -> Part | str:
    """Writes the rows of one label; gives what went wrong, if something did."""
    rows = deletes = 0
    file.begin()
    try:
        writer: _Writer = (
            _Gzip(file, formats.csv_header(of)) if form == "csv.gz"
            else _Parquet(file, of) if form == "parquet"
            else _Plain(file)
        )  # fmt: skip
        for _, count, gone, payload in runs:
            rows, deletes = rows + count, deletes + gone
            writer.add(payload)
        writer.end()
    except OSError as error:
        return f"{of.dataset} could not be written: {error.strerror or error}."
    return Part(file.end(), rows, deletes)


def finish(parcel: Parcel, staging: Staging) -> None:
    """Gives a parcel its files, encrypted if they are to be, and what its manifest says of each dataset."""
    if broken := [part for part in parcel.parts.values() if isinstance(part, str)]:
        parcel.problem = broken[0]
        return
    try:
        _finish(parcel, {name: part for name, part in parcel.parts.items() if isinstance(part, Part)}, staging)
    except (OSError, ValueError) as error:
        parcel.problem = f"Its files could not be made: {getattr(error, 'strerror', None) or error}."


def _finish(parcel: Parcel, parts: dict[str, Part], staging: Staging) -> None:
    pieces = {dataset: part.piece for dataset, part in parts.items()}
    if parcel.form == "xstore_mnt" and parts:
        pieces = dict.fromkeys(parts, _joined(parcel, list(parts.values()), staging))
    sealed: dict[Piece, Piece] = {}
    parcel.files.clear()
    for dataset in parcel.datasets:
        if dataset not in parts:
            parcel.entries[dataset] = DatasetFile(name=dataset, file=None, rows=0, deletes=0, bytes=0, sha256=None)
            continue
        part, piece = parts[dataset], pieces[dataset]
        name = formats.file_name(parcel.form, parcel.job, dataset)
        if parcel.recipient:
            name += ".age"
            if piece not in sealed:
                sealed[piece] = _sealed(piece, parcel.recipient, staging)
            piece = sealed[piece]
        parcel.files[name] = piece
        parcel.entries[dataset] = DatasetFile(
            name=dataset, file=name, rows=part.rows, deletes=part.deletes, bytes=piece.size, sha256=piece.sha256
        )


def _joined(parcel: Parcel, parts: Sequence[Part], staging: Staging) -> Piece:
    lines = sum(part.rows for part in parts)
    staging.begin()
    staging.write(formats.mnt_header(parcel.database, parcel.job, parcel.sequence, parcel.business_date, lines))
    for part in parts:
        staging.write(part.piece.read())
    return staging.end()


def _sealed(piece: Piece, recipient: str, staging: Staging) -> Piece:
    staging.begin()
    staging.write(keys.encrypt(piece.read(), recipient))
    return staging.end()

"""The reference receiver: a store's own database, brought to what head office says by packages.

This file is the documentation of the protocol from the store's side (spec 6-distribution, "Receiver"): the numbers in
the comments are its rules. It needs a package's folder and a place for the answer, nothing else of head office.

The database holds a table for each dataset (``cards``, ``card_balances``, …) and what it must remember in the schema
``receiver``: whose it is, what it has applied, how often it has tried.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from hashlib import file_digest
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import duckdb
from pydantic import BaseModel, ConfigDict, ValidationError

from kanta.contracts import Contract
from kanta.distribution import formats, keys
from kanta.distribution.protocol import (
    LAST_ATTEMPT,
    MANIFEST,
    MOST_BYTES,
    SCHEMA_VERSION,
    SIGNATURE,
    Acknowledgement,
    DatasetFile,
    Manifest,
    Place,
    Reason,
    Totals,
    contract,
    is_plain,
    sha256,
    total_names,
)
from kanta.distribution.transport import Folders, open_file, read_file
from kanta.engine import MEMORY_LIMIT
from kanta.errors import Busy, KantaError

#: Rule 9: what fails before anything is applied; the rest is apply_failed.
DOWNLOAD: frozenset[Reason] = frozenset({"bad_manifest", "schema", "bad_file"})

#: What a package may take of the machine: memory, and room beside the database for what does not fit into it.
_ROOM: dict[str, str | bool | int | float | list[str]] = {
    "memory_limit": MEMORY_LIMIT,
    "max_temp_directory_size": "16GB",
}

_MEMORY = """
create schema if not exists receiver;
create table if not exists receiver.own (database varchar not null);
create table if not exists receiver.applied (
    job varchar not null, sequence bigint not null, manifest_sha256 varchar not null, business_date date not null,
    rows json not null, control_totals json not null
);
create table if not exists receiver.tries (job varchar not null, sequence bigint not null, tries bigint not null);
"""


class RefusedError(Exception):
    """A package that is not applied: the rule's reason, and what was found, without any row's values."""

    def __init__(self, reason: Reason, message: str, totals: Totals | None = None) -> None:
        super().__init__(message)
        self.reason: Reason = reason
        self.message, self.totals = message, totals or {}


@dataclass(frozen=True)
class Keys:
    """What a store has of keys: head office's public ones (``verify``; one must have signed), its own age identity and
    the name of its own private one (``env:NAME``), to sign what it answers."""

    verify: tuple[str, ...] = ()
    identity: str | None = None
    sign: str | None = None


@dataclass(frozen=True)
class Result:
    """What came of one package: its folder and the acknowledgement written."""

    folder: Path
    acknowledgement: Acknowledgement

    @property
    def failed(self) -> bool:
        return self.acknowledgement.status != "applied"

    def as_dict(self) -> dict[str, Any]:
        return {"folder": str(self.folder), **self.acknowledgement.model_dump()}

    def line(self) -> str:
        """For people: where, what, why."""
        said = self.acknowledgement
        why = f" ({said.reason}: {said.message})" if self.failed else f", {sum(said.rows.values()):,} rows"
        return f"{said.database}/{said.job}/{said.sequence:08d}  {said.status}{why}"


def apply(packages: Sequence[Path], database: Path, inbox: Path, own: Keys | None = None) -> list[Result]:
    """Applies packages to a store's database and acknowledges each.

    ``packages``: folders ``<database>/<job>/<sequence>``, or folders above them; ``database``: the store's DuckDB file,
    made when it is not there; ``inbox``: where acknowledgements go. No package: nothing happens. Raises KantaError for
    a folder or key that is not there, Busy while another receiver has the database.
    """
    if missing := [str(path) for path in packages if not path.is_dir()]:
        raise KantaError(
            "There is no such package folder", where=", ".join(missing), next_step="kanta distribution status"
        )
    # Rule 1: folders with a manifest, by sequence, also after a fault; one receiver.
    folders = {manifest.parent.resolve() for path in packages for manifest in path.rglob(MANIFEST)}
    found = [(place, folder) for folder in folders if (place := Place.of_package(folder))]
    found.sort(key=lambda item: (item[0].job, item[0].sequence, item[0].database))
    own = own or Keys()
    sign = keys.signer(own.sign)
    with opened(database) as con:
        con.execute(_MEMORY)
        return [Result(folder, _receive(con, place, folder, Folders(inbox), own, sign)) for place, folder in found]


@contextmanager
def opened(database: Path, *, read_only: bool = False) -> Iterator[duckdb.DuckDBPyConnection]:
    """The store's database. Raises Busy while a receiver has it, KantaError when it is none."""
    try:
        con = duckdb.connect(database, read_only=read_only, config=_ROOM)
    except duckdb.IOException as error:
        if "lock" not in str(error):
            raise KantaError(
                "The store's database cannot be opened",
                where=str(database),
                next_step="restore it, or start with a new file",
            ) from error
        raise Busy(
            "Another receiver is at work on the store's database",
            where=str(database),
            next_step="wait until it is done, then apply again",
        ) from error
    with con:
        yield con


def _receive(
    con: duckdb.DuckDBPyConnection, place: Place, folder: Path, inbox: Folders, own: Keys, sign: keys.Sign | None
) -> Acknowledgement:
    """One package: applied or refused, acknowledged, and, once applied, deleted."""
    attempt = _next_attempt(con, place, inbox)
    manifest: Manifest | None = None
    manifest_sha256, rows, totals = sha256(b""), dict[str, int](), Totals()
    reason: Reason | None = None
    message = ""
    try:
        content = _read(folder / MANIFEST)
        manifest_sha256 = sha256(content)
        manifest = _manifest(con, place, content, _read(folder / (MANIFEST + SIGNATURE)) if own.verify else b"", own)
        rows, totals = _apply(con, folder, manifest, manifest_sha256, own)
    except RefusedError as refused:
        reason, message, totals = refused.reason, refused.message, refused.totals
    except (duckdb.Error, OSError) as fault:
        # Its text may quote a row, and an acknowledgement holds no personal values.
        reason, message = "fault", f"{type(fault).__name__}; nothing was changed"
    # Rule 9: acknowledge, then delete what is applied. A receiver that dies between acknowledges again.
    applied, applied_sha256 = _position(con, place.job)
    acknowledgement = Acknowledgement(
        **place.model_dump(),
        manifest_sha256=manifest_sha256,
        attempt=attempt,
        status="applied" if reason is None else "download_failed" if reason in DOWNLOAD else "apply_failed",
        reason=reason,
        applied_sequence=applied,
        applied_manifest_sha256=applied_sha256,
        rows=rows,
        control_totals=totals,
        message=message,
    )
    try:
        if sign:
            inbox.upload(sign(acknowledgement.to_bytes()), place.acknowledgement + SIGNATURE)
        inbox.upload(acknowledgement.to_bytes(), place.acknowledgement)
    except OSError as error:
        raise KantaError(
            f"The acknowledgement of {place.package} could not be written: {error.strerror or error}",
            where=str(inbox.root),
            next_step="make the inbox writable, then apply again: what is applied is only acknowledged",
        ) from error
    if manifest and reason is None:
        _delete(folder, manifest)
    return acknowledgement


def _next_attempt(con: duckdb.DuckDBPyConnection, place: Place, inbox: Folders) -> int:
    """Counts this attempt, whatever comes of it.

    A restored database has forgotten some; the acknowledgement that still lies in the inbox has not.
    """
    own = "select coalesce(max(tries), 0) from receiver.tries where job = ? and sequence = ?"
    ((tries,),) = con.execute(own, [place.job, place.sequence]).fetchall()
    with suppress(OSError, ValidationError):
        answered = inbox.read(place.acknowledgement, MOST_BYTES)
        tries = max(tries, Acknowledgement.model_validate_json(answered).attempt if answered else 0)
    attempt = min(int(tries) + 1, LAST_ATTEMPT)  # the inbox may hold what no store has written
    con.execute("insert into receiver.tries values (?, ?, ?)", [place.job, place.sequence, attempt])
    return attempt


def _position(con: duckdb.DuckDBPyConnection, job: str) -> tuple[int, str | None]:
    """The sequence the store stands at and its manifest's hash; 0 and None before the first."""
    query = "select sequence, manifest_sha256 from receiver.applied where job = ? order by sequence desc limit 1"
    row = con.execute(query, [job]).fetchone()
    return (int(row[0]), str(row[1])) if row else (0, None)


# ── rules 2 to 5: is it for us, does it fit, is all of it here ───────────────────────────────────────────────────


class _Head(BaseModel):
    """What a manifest of any schema version says first."""

    model_config = ConfigDict(strict=True)
    schema_version: int
    database: str
    job: str
    sequence: int


def _read(file: Path) -> bytes:
    try:
        return read_file(file, MOST_BYTES) or b""
    except OSError as error:
        raise RefusedError("bad_manifest", f"{file.name} cannot be read") from error


def _manifest(con: duckdb.DuckDBPyConnection, place: Place, content: bytes, signature: bytes, own: Keys) -> Manifest:
    """Rule 2: signature, folder = content, own database, a schema we know."""
    if own.verify and not keys.is_signed(content, signature, own.verify):
        raise RefusedError("bad_manifest", "the manifest is not signed by head office")
    try:
        head = _Head.model_validate_json(content)
    except ValidationError as error:
        raise RefusedError("bad_manifest", "the manifest is not one") from error
    if (head.database, head.job, head.sequence) != (place.database, place.job, place.sequence):
        raise RefusedError("bad_manifest", "the manifest is of another folder")
    ours = con.execute("select database from receiver.own").fetchone()
    if ours and ours[0] != head.database:
        raise RefusedError("bad_manifest", "the manifest is of another store's database")
    if head.schema_version != SCHEMA_VERSION:
        raise RefusedError("schema", f"schema version {head.schema_version} is not {SCHEMA_VERSION}")
    try:
        manifest = Manifest.model_validate_json(content)
    except ValidationError as error:
        raise RefusedError("bad_manifest", f"the manifest has {error.error_count()} keys that are wrong") from error
    names = [file.name for file in manifest.datasets]
    try:
        known = [contract(name) for name in names]
    except KeyError:
        known = []
    if not known or len(set(names)) < len(names):
        raise RefusedError("schema", f"the datasets of job {manifest.job} are not known here")
    return manifest


def _apply(
    con: duckdb.DuckDBPyConnection, folder: Path, manifest: Manifest, manifest_sha256: str, own: Keys
) -> tuple[dict[str, int], Totals]:
    """Rules 3 to 8; returns the rows taken in by dataset and the totals found."""
    applied, remembered = _position(con, manifest.job)
    # Rule 3: a sequence that was applied is acknowledged again; another package under its number is not.
    if manifest.sequence <= applied:
        return _applied_before(con, manifest, manifest_sha256)
    # Rule 4: a delta fits only on what it was made for.
    if manifest.mode == "delta" and (remembered is None or manifest.applies_to.get(str(applied)) != remembered):
        raise RefusedError("gap", f"the delta does not fit on sequence {applied}")
    # Rule 5: plain names, bytes, hashes, decryption.
    with TemporaryDirectory(prefix="kanta-store-") as opened:
        paths: dict[str | None, Path] = {
            file.file: _checked(folder, file, Path(opened), own) for file in manifest.datasets if file.file is not None
        }
        # Rules 6 to 8 are one transaction: whatever fails, the store is as it was.
        con.begin()
        try:
            for file in manifest.datasets:
                _take_in(con, contract(file.name), paths.get(file.file), file, full=manifest.mode == "full")
            # Rule 7: both sides count the same.
            totals = _totals(con, [file.name for file in manifest.datasets])
            if totals != manifest.control_totals:
                raise RefusedError("totals", "the store would hold something else than head office says", totals)
            # Rule 8.
            rows = {file.name: file.rows for file in manifest.datasets if file.file is not None}
            _remember(con, manifest, manifest_sha256, rows, totals)
            con.commit()
        except BaseException:
            con.rollback()
            raise
    return rows, totals


def _applied_before(
    con: duckdb.DuckDBPyConnection, manifest: Manifest, manifest_sha256: str
) -> tuple[dict[str, int], Totals]:
    query = "select rows, control_totals from receiver.applied where job = ? and sequence = ? and manifest_sha256 = ?"
    row = con.execute(query, [manifest.job, manifest.sequence, manifest_sha256]).fetchone()
    if not row:
        raise RefusedError("reused", "another package was applied under this sequence, or one after it")
    return json.loads(row[0]), json.loads(row[1])


def _checked(folder: Path, file: DatasetFile, opened: Path, own: Keys) -> Path:
    """The file of a dataset as it was sent, or, if it was encrypted, what was in it (in the folder ``opened``)."""
    name = file.file or ""
    plain = name.removesuffix(".age")
    if not is_plain(name) or formats.form_of(plain) is None:
        raise RefusedError("bad_file", f"the file of {file.name} has a name that is not plain")
    try:
        with open_file(folder / name) as content:
            found, size = file_digest(content, "sha256").hexdigest(), content.tell()
        if (found, size) != (file.sha256, file.bytes):
            raise RefusedError("bad_file", f"the file of {file.name} is not the one that was sent")
        if name == plain:
            return folder / name
        (opened / plain).write_bytes(keys.decrypt((folder / name).read_bytes(), own.identity or ""))
    except (OSError, ValueError) as error:
        raise RefusedError("bad_file", f"the file of {file.name} cannot be read") from error
    return opened / plain


# ── rules 6 to 8: take it in ─────────────────────────────────────────────────────────────────────────────────────


def _take_in(con: duckdb.DuckDBPyConnection, of: Contract, path: Path | None, file: DatasetFile, *, full: bool) -> None:
    """Rule 6 for one dataset: a full package empties its table; then U replaces a row, D deletes it if it is there."""
    table, columns = of.dataset, of.columns
    typed = ", ".join(f"{column.name} {column.type}" for column in columns)
    con.execute(f"create table if not exists {table} ({typed})")
    if full:
        con.execute(f"delete from {table}")
    if path is None:
        if file.rows or file.deletes:
            raise RefusedError("bad_rows", f"{table}: rows without a file")
        return
    try:
        formats.read(con, of, formats.form_of(path.name) or "", path, file.rows)
        formats.check(con, of, file.rows, file.deletes)
    except formats.BadRows as error:
        raise RefusedError("bad_rows", str(error)) from error
    same = " and ".join(f"{table}.{name} = cast(incoming.{name} as {of.column(name).type})" for name in of.key)
    con.execute(f"delete from {table} using incoming where {same}")
    values = ", ".join(f"cast({column.name} as {column.type})" for column in columns)
    con.execute(f"insert into {table} select {values} from incoming where op = 'U'")


#: What a store counts of what it holds, besides the rows: (name, value) or one value.
_COUNTED = {
    "customers": "select count(distinct customer_id) from customers",
    "cards": "select count(distinct card_id) from cards",
    "available": "select reward_point_id, cast(sum(available) as varchar) from card_balances group by all order by all",
    "tiers": "select program_id || '/' || tier_id, count(distinct card_id) from card_tiers group by all order by all",
}


def _totals(con: duckdb.DuckDBPyConnection, names: Sequence[str]) -> Totals:
    """The control totals of what the store holds, counted from its own tables."""
    totals: Totals = {"rows": {name: _count(con, name) for name in names}}
    for total in total_names(names):
        rows = con.execute(_COUNTED[total]).fetchall()
        totals[total] = int(rows[0][0]) if total in ("customers", "cards") else dict(rows)
    return totals


def _count(con: duckdb.DuckDBPyConnection, table: str) -> int:
    ((rows,),) = con.execute(f"select count(*) from {table}").fetchall()
    return int(rows)


def _remember(
    con: duckdb.DuckDBPyConnection, manifest: Manifest, manifest_sha256: str, rows: dict[str, int], totals: Totals
) -> None:
    """Rule 8: what was applied; the first package says whose database it is."""
    con.execute("insert into receiver.own select ? where not exists (from receiver.own)", [manifest.database])
    said = [manifest.job, manifest.sequence, manifest_sha256, manifest.business_date]
    found = [json.dumps(rows), json.dumps(totals)]
    con.execute("insert into receiver.applied values (?, ?, ?, ?, ?, ?)", [*said, *found])


def _delete(folder: Path, manifest: Manifest) -> None:
    """Rule 9: what is applied goes, its manifest first; what cannot be deleted is acknowledged again next time."""
    with suppress(OSError):
        for name in (MANIFEST, MANIFEST + SIGNATURE, *(file.file for file in manifest.datasets if file.file)):
            (folder / name).unlink(missing_ok=True)
        folder.rmdir()

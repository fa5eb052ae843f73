"""Releasing refused rows: the whole record again, corrected, as a drop of its own beside the one it came in."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import os
import secrets
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import duckdb

from kanta import handles
from kanta.contracts import Contract
from kanta.errors import BadArguments, KantaError
from kanta.home import Home
from kanta.landing import poslog
from kanta.landing.drops import CONTROL, DropError, Found, data_files, opened, parse_control, read_control
from kanta.landing.limits import Allowance, UnwrittenError, in_words
from kanta.landing.router import ANY_AGE, Router, drops_table, files_table, raw_json
from kanta.landing.spool import Spools, Target, read


def release(home: Home, refused: Sequence[Mapping[str, Any]], corrections: Mapping[str, Mapping[str, str]]) -> Path:
    """Writes a drop that holds the record of the refused rows again, corrected; the next take takes it.

    ``refused``: rows of ``ops.quarantine`` of one record or more of one drop, the first naming the new drop
    (``<source>.released-<quarantine_id>``, beside the old one); ``corrections``: by quarantine_id, the columns to
    change, of another row of the same record as ``tenders.1.amount``. Every row of the records is read again from the
    original files. Returns the new drop's directory.

    A row of level ``drop`` cannot be corrected here: repair the drop and write its control file again, or leave it
    out of what ``take`` is told to know, and it is looked at once more. Raises ``KantaError``.
    """
    first = refused[0]
    where = f"{first['drop_id']} {first['quarantine_id']}"
    if any(row["level"] in ("drop", "file") for row in refused):
        raise KantaError(
            "A refused drop or file cannot be corrected row by row.",
            where=where,
            next_step=f"Deliver the drop again and write its {CONTROL} last; the next run looks at it.",
        )
    if unknown := set(corrections) - {row["quarantine_id"] for row in refused}:
        raise BadArguments(f"No refused row has the id {min(unknown)}.", where=where)
    found = Found(
        first["feed"],
        first["business_date"],
        first["source"],
        str(home.landing / first["drop_id"]),
        first["drop_id"],
        "",
    )
    try:
        records = _records(home, found, refused, corrections)
    except DropError as error:
        raise KantaError(
            f"The drop cannot be read any more: {error.reason}.",
            where=f"{found.drop_id}/{error.file}",
            next_step="Have its source deliver it again with a higher revision.",
        ) from error
    except (duckdb.Error, UnwrittenError, MemoryError, OSError) as error:
        raise KantaError(
            f"The drop could not be read in: {in_words(error)}",
            where=found.drop_id,
            next_step="make room if the disk is full, then release it again",
        ) from error
    path = Path(found.path).with_name(f"{found.source}.released-{first['quarantine_id']}")
    _write(path, found, records)
    return path


@dataclass(frozen=True)
class _Row:
    """One row of the drop as it was delivered: its columns as text, empty ones left out."""

    contract: Contract
    file: str
    line: int
    key: str
    values: dict[str, str]

    @property
    def family(self) -> str:
        return self.contract.part_of or self.contract.dataset


def _records(
    home: Home, found: Found, refused: Sequence[Mapping[str, Any]], corrections: Mapping[str, Mapping[str, str]]
) -> list[_Row]:
    """The rows of the records the refused rows belong to before or after correction; corrected."""
    held = _held(home, found, {row["revision"] for row in refused})
    corrected: dict[int, _Row] = {}
    records: set[tuple[str, str]] = set()
    for row in refused:
        n = _position(held, row)
        delivered, change = held[n], corrections.get(row["quarantine_id"], {})
        own = {column: value for column, value in change.items() if "." not in column}
        if unknown := set(own) - set(delivered.contract.names):
            raise BadArguments(f"{row['dataset']} has no column {min(unknown)}.", where=row["quarantine_id"])
        corrected[n] = replace(corrected.get(n, delivered), values={**corrected.get(n, delivered).values, **own})
        for place, value in change.items():
            if "." in place:
                part, column = _part(held, delivered, place, row["quarantine_id"])
                before = corrected.get(part, held[part])
                corrected[part] = replace(before, values={**before.values, column: value})
        key = "|".join(corrected[n].values.get(name, "") for name in delivered.contract.record_key)
        records |= {(delivered.family, delivered.key), (delivered.family, key)}
    return [corrected.get(n, row) for n, row in enumerate(held) if n in corrected or (row.family, row.key) in records]


def _part(held: list[_Row], whole: _Row, place: str, where: str) -> tuple[int, str]:
    """Where another row of a record stands, and its column, from words such as ``tenders.1.amount``."""
    dataset, number, column = ([*place.split("."), "", ""])[:3]
    for n, row in enumerate(held):
        same = (row.family, row.key, row.contract.dataset) == (whole.family, whole.key, dataset)
        if same and column in row.contract.names and row.values.get(row.contract.key[-1]) == number:
            return n, column
    raise BadArguments(
        f"The record has no {place}.", where=where, next_step="DATASET.NUMBER.COLUMN, as tenders.1.amount"
    )


def _position(held: list[_Row], refused: Mapping[str, Any]) -> int:
    """Where a refused row stands among the drop's rows."""
    for n, row in enumerate(held):
        place = (row.file, row.line, row.contract.dataset)
        # What was refused only after landing is known by its place.
        same = refused["raw"] is None or raw_json(row.values) == refused["raw"]
        if same and place == (refused["file"], refused["line"], refused["dataset"]):
            return n
    raise KantaError(
        "A refused row cannot be read again from its file.",
        where=f"{refused['drop_id']}/{refused['file']} line {refused['line']}",
        next_step="Have its source deliver the drop again with a higher revision.",
    )


def _held(home: Home, found: Found, revisions: set[int]) -> list[_Row]:
    """All rows of the drop."""
    allowance = Allowance(home.settings.drop_limits, home.settings.night_limits)
    with (
        tempfile.TemporaryDirectory() as work,
        opened(found) as folder,
        Spools(Path(work), allowance) as spools,
    ):
        control = parse_control(read_control(folder), found)
        if revisions != {control.revision}:
            raise DropError("revision", f"revision {control.revision} has replaced it", CONTROL)
        names = []
        known = [file for file in data_files(found, control, folder, []) if not file.unknown]
        for file_no, file in enumerate(known):
            names.append(file.name)
            if file.contract is None:
                poslog.spool(folder, file, file_no, spools)
            else:
                read(folder, file, Target(file.contract, file_no, spools, lambda column: None))
        spools.close()
        with Router(found.feed, Path(work), ANY_AGE) as router:
            router.load(
                spools.all,
                drops_table([(0, found)]),
                files_table([(n, 0, name) for n, name in enumerate(names)]),
            )
            return [
                _Row(contract, names[file], line, key, values) for contract, file, line, key, values in router.rows()
            ]


def _write(path: Path, found: Found, rows: list[_Row]) -> None:
    """Writes the rows as a drop, at once whole; released again, it is a higher revision of it."""
    source = path.name
    try:
        with opened(replace(found, path=str(path), source=source)) as folder:
            revision = 1 + parse_control(read_control(folder), replace(found, source=source)).revision
    except DropError:
        revision = 1
    contents: dict[str, bytes] = {}
    listed = []
    for contract in {row.contract.name: row.contract for row in rows}.values():
        own = [row.values for row in rows if row.contract is contract]
        text = io.StringIO(newline="")
        writer = csv.DictWriter(text, contract.names, restval="", lineterminator="\r\n")
        writer.writeheader()
        writer.writerows(own)
        name = f"{contract.dataset}.csv"
        contents[name] = text.getvalue().encode()
        listed.append({"name": name, "rows": len(own), "sha256": hashlib.sha256(contents[name]).hexdigest()})
    control = {"feed": found.feed, "business_date": found.business_date.isoformat(), "source": source}
    contents[CONTROL] = json.dumps(control | {"revision": revision, "files": listed}).encode()
    _put(path, contents)


def _put(path: Path, contents: Mapping[str, bytes]) -> None:
    """Puts a drop there in the place of whatever bears its name; nothing that others put there is written through."""
    work = f".releasing-{secrets.token_hex(16)}"
    try:
        with handles.folder(path.parents[2], "/".join(path.parts[-3:-1])) as day:
            with handles.folder(day, work, handles.made) as folder:
                for name, content in contents.items():
                    handles.write(folder, name, content)
            handles.remove(day, path.name)
            os.rename(work, path.name, src_dir_fd=day, dst_dir_fd=day)
    except OSError as error:
        raise KantaError(
            f"The released drop cannot be written: {error.strerror or error}.",
            where=str(path),
            next_step="put a folder of landing's own there, then release it again",
        ) from error

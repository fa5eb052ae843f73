"""Blanking a person's rows in drops as they lie in the landing zone (spec/3-customers.md rule 10).

A row is a person's when one of its identifying columns names them, their operations, orders or cards. Its columns
that the contract calls personal are emptied, and those that no contract knows; all else stays as it was written. The
control file gets the new hashes. Files are read as landing reads them; what landing would refuse is read as far as it
can be. All of it by handles (``kanta.handles``): a link in a drop is left alone and told.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import os
import re
import zlib
from collections.abc import Collection, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import zstandard

from kanta import handles
from kanta.contracts import Contract
from kanta.foreign import json_text
from kanta.home import Home
from kanta.landing.drops import CONTROL, MAX_CONTROL, datasets, shown, stamp_of
from kanta.landing.emptying import csv_text, json_line, parquet
from kanta.landing.names import NAMED_BY, Names
from kanta.landing.poslog import persons
from kanta.landing.spool import MAX_RATIO, RATIO_FROM

#: A data file by its name, also one that landing does not take: hidden, unfinished, in upper case.
_DATA = re.compile(r"\.?([a-z_]+)\.(csv|ndjson|parquet|xml)(?:\.(?:gz|zst))?(?:\.\w+)?", re.IGNORECASE)
_UTF_16 = {b"\xff\xfe": "utf-16-le", b"\xfe\xff": "utf-16-be"}


@dataclass(frozen=True)
class Blanked:
    """A drop that was changed, as ``ops.drops`` has to know it so that it is not taken again."""

    drop_id: str
    control_sha256: str
    stamp: str
    files: str


@dataclass
class Looked:
    """What became of a look through landing: the drops that changed, and what could not be looked through."""

    drops: list[Blanked] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)  # path and reason


def blank_drops(home: Home, names: Names, only: Collection[str] | None = None, values: Collection[str] = ()) -> Looked:
    """Empties the person's columns in every drop, or in those of ``only``.

    ``values``: what tells of the person wherever it stands; it goes from files that are no data of a drop.
    """
    looked = Looked()
    telling = [value.encode() for value in sorted(values, key=len, reverse=True)]
    for path in sorted(only) if only is not None else _folders(home, "", looked):
        try:
            with handles.folder(home.landing, path) as folder:
                if found := _blank_drop(path, folder, names, telling, looked):
                    looked.drops.append(found)
        except FileNotFoundError:
            continue
        except OSError as error:
            looked.refused.append(f"landing/{shown(path)}: {error.strerror or error}")
    return looked


def _folders(home: Home, path: str, looked: Looked) -> Iterator[str]:
    """A folder of landing and every one below it: drops, complete or not, and what else lies there."""
    try:
        with handles.folder(home.landing, path) as folder, os.scandir(folder) as entries:
            names = sorted(entry.name for entry in entries if entry.is_dir(follow_symlinks=False))
    except OSError as error:
        if path:
            looked.refused.append(f"landing/{shown(path)}: {error.strerror or error}")
        return
    yield path
    for name in names:
        yield from _folders(home, f"{path}/{name}" if path else name, looked)


def _blank_drop(path: str, folder: int, names: Names, telling: Collection[bytes], looked: Looked) -> Blanked | None:
    feed, is_drop = path.partition("/")[0], path.count("/") == 2
    hashes: dict[str, tuple[str, str]] = {}
    for name in _files(folder):
        if name == CONTROL and is_drop:
            continue
        if handles.LEFTOVER.fullmatch(name):  # an erasure that died; what it was to replace is there
            handles.remove(folder, name)
            continue
        try:
            before = handles.read(folder, name)
            after = _blanked(before, name, feed, names, telling)
            if after != before:
                hashes[name] = hashlib.sha256(before).hexdigest(), hashlib.sha256(after).hexdigest()
                handles.write(folder, name, after)
        except OSError as error:
            place = f"{path}/{name}" if path else name
            looked.refused.append(f"landing/{shown(place)}: {error.strerror or error}")
    return _control_again(path, folder, hashes) if hashes and is_drop else None


def _files(folder: int) -> list[str]:
    """What lies in a folder and is no folder: files, and links, which are refused when they are opened."""
    with os.scandir(folder) as entries:
        return sorted(entry.name for entry in entries if not entry.is_dir(follow_symlinks=False))


def _control_again(drop_id: str, folder: int, hashes: Mapping[str, tuple[str, str]]) -> Blanked | None:
    """Writes the control file with the new hashes; one that was wrong before stays wrong. None when there is none."""
    try:
        with handles.open_file(folder, CONTROL) as file:
            data, status = file.read(MAX_CONTROL), os.fstat(file.fileno())
    except OSError:  # not complete yet, or a link
        return None
    try:
        document = json.loads(json_text(data))
        for listed in document["files"]:
            old, new = hashes.get(listed["name"], ("", ""))
            if str(listed["sha256"]).lower() == old:
                listed["sha256"] = new
        files = [{key: listed[key] for key in ("name", "rows", "sha256")} for listed in document["files"]]
        data = json.dumps(document, indent=1).encode()
        status = handles.write(folder, CONTROL, data)
    except (ValueError, KeyError, TypeError, RecursionError):
        files = []  # no control file one can read: the drop was refused, and stays so
    return Blanked(
        drop_id=drop_id,
        control_sha256=hashlib.sha256(data).hexdigest(),
        stamp=stamp_of(status),
        files=json.dumps(files),
    )


def _blanked(data: bytes, name: str, feed: str, names: Names, telling: Collection[bytes]) -> bytes:
    """The file's bytes without the person; the same where nothing of it is theirs."""
    match = _DATA.fullmatch(name)
    if match:
        form, contract = match[2].lower(), datasets(feed).get(match[1].lower())
        data = _of_form(data, form, contract, names)
    for value in telling if not match else ():
        data = data.replace(value, b"")
    return data


def _of_form(data: bytes, form: str, contract: Contract | None, names: Names) -> bytes:
    if form != "xml" and contract and not NAMED_BY.keys() & set(contract.names):
        return data
    if data[:4] == b"PAR1":
        return parquet(data, contract, names)
    compression = _compression(data)
    plain, broken_off = _decompressed(data, compression, names)
    made = persons.blanked(plain, names) if form == "xml" else _text(plain, form, contract, names)
    return data if made == plain and not broken_off else _compressed(made, compression)


def _text(plain: bytes, form: str, contract: Contract | None, names: Names) -> bytes:
    codec = _UTF_16.get(plain[:2]) or ("utf-8" if b"\0" not in plain[:64] else _wide(plain))
    errors = "surrogateescape" if codec == "utf-8" else "surrogatepass"
    try:
        text = plain.decode(codec, errors)
    except UnicodeDecodeError:
        codec, errors = "utf-8", "surrogateescape"
        text = plain.decode(codec, errors)
    if form == "ndjson":
        made = "\n".join(json_line(line, contract, names) for line in text.split("\n"))
    else:
        made = "".join(csv_text(text, contract, names))
    return made.encode(codec, errors)


def _wide(plain: bytes) -> str:
    """UTF-16 without a mark: a letter's second byte is nothing."""
    return "utf-16-be" if plain[:64:2].count(0) > plain[1:64:2].count(0) else "utf-16-le"


def _compression(data: bytes) -> str:
    """How a file is packed, by its first bytes: what its name says need not be so."""
    return "gz" if data[:2] == b"\x1f\x8b" else "zst" if data[:4] == b"\x28\xb5\x2f\xfd" else ""


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

"""Drops: finding new ones in the landing zone, reading their control files, opening their files safely.

Everything here comes from outside. Nothing is followed (no symlink at any level), nothing is believed before it
is checked, and whatever is wrong becomes a ``DropError`` with its rule and reason (spec: 1-interfaces section 3).
"""

from __future__ import annotations

import errno
import os
import re
import stat
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Annotated, NamedTuple

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from kanta import contracts, handles
from kanta.contracts import Contract
from kanta.foreign import json_text

CONTROL = "control.json"
EARLIEST = date(1990, 1, 1)  # nothing a drop could hold is older; year 0001 is a broken clock
MAX_CONTROL = 1 << 20

SOURCE = re.compile(r"\w[\w .@+-]{0,199}")
FILE_NAME = re.compile(r"([a-z_]+)\.(csv|ndjson|parquet|xml)(?:\.(gz|zst))?")
DATA_FILE = re.compile(r".*\.(csv|ndjson|parquet|xml)(\.(gz|zst))?", re.IGNORECASE | re.DOTALL)

_Refuse = Callable[[str, date, str, Path, str, str], None]
_RefuseFolder = Callable[[str, str], None]


class DropError(Exception):
    """A drop cannot be taken: ``rule`` broken, ``reason`` in words, ``file`` and ``line`` where that is known."""

    def __init__(self, rule: str, reason: str, file: str = "", line: int | None = None) -> None:
        super().__init__(f"{rule}: {reason}")
        self.rule, self.reason, self.file, self.line = rule, reason, file, line


class Known(NamedTuple):  # a night makes tens of thousands of them
    """What ``ops.drops`` remembers of a drop path: how it stood when it was last looked at.

    ``accepted_revision`` is the highest revision of it that was accepted (0: none; for an accepted drop left at 0
    its own ``revision``), so that a refused attempt does not make the accepted content forgotten.
    """

    drop_id: str
    revision: int
    stamp: str
    control_sha256: str
    status: str
    accepted_revision: int = 0

    @property
    def floor(self) -> int:
        """The revision a drop must exceed to be taken again."""
        return max(self.accepted_revision, self.revision if self.status == "accepted" else 0)


@dataclass(frozen=True)
class Found:
    """A place in the landing zone that is complete and new or changed; ``refused`` if its path alone is wrong."""

    feed: str
    business_date: date
    source: str
    path: str
    drop_id: str
    stamp: str
    refused: DropError | None = None


@dataclass(frozen=True)
class Warned:
    """Something odd that refuses nothing."""

    feed: str
    business_date: date
    source: str
    file: str
    rule: str
    reason: str


class ControlFile(BaseModel):
    """One file as ``control.json`` lists it."""

    model_config = ConfigDict(strict=True, frozen=True)

    name: str
    rows: Annotated[int, Field(ge=0, lt=2**40)]
    sha256: Annotated[str, Field(pattern=r"^[0-9A-Fa-f]{64}$")]


class Totals(BaseModel):
    """The control totals a drop may state."""

    model_config = ConfigDict(strict=True, frozen=True)

    transactions: Annotated[int, Field(ge=0)] | None = None
    orders: Annotated[int, Field(ge=0)] | None = None
    net_amount: Annotated[Decimal, Field(allow_inf_nan=False)] | None = None


class Control(BaseModel):
    """``control.json``: what the drop says it is and holds."""

    model_config = ConfigDict(strict=True, frozen=True)

    feed: str
    business_date: str
    source: str
    revision: Annotated[int, Field(ge=1, lt=2**31)]
    files: list[ControlFile]
    totals: Totals | None = None


@dataclass(frozen=True)
class DataFile:
    """A listed file whose name makes sense: ``contract`` is None for ``poslog.xml`` and for an unknown dataset."""

    name: str
    rows: int
    sha256: str
    contract: Contract | None
    format: str
    compression: str
    unknown: bool = False  # a dataset the feed does not have


def shown(name: str) -> str:
    """A name from outside as it may be stored and printed: odd characters escaped, at most 200 of them."""
    text = name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text[:200])


@cache
def datasets(feed: str) -> dict[str, Contract]:
    """The contracts of the datasets a feed may carry, by dataset name."""
    return {
        contract.dataset: contract
        for name, contract in contracts.landing().items()
        if name.partition(".")[0] in (feed, "any")
    }


def feeds() -> list[str]:
    """The feeds there are."""
    return sorted({name.partition(".")[0] for name in contracts.landing()} - {"any"})


def find(landing: Path, feed: str, through: date, known: Mapping[str, Known], warnings: list[Warned]) -> list[Found]:
    """Complete drops of a feed dated at most ``through`` that are new or changed, by date and source.

    A drop whose control file kept its stamp is not looked at: 38,000 of them take well under a second.
    A folder that cannot be a date or a source, cannot be read or is a symlink is found as refused.
    What was ``unreadable`` is found each time, for nothing in it need change to make it readable.
    """
    found: list[Found] = []

    def refuse(drop_id: str, day: date, source: str, path: Path, rule: str, reason: str) -> None:
        stamp = _place_stamp(path)
        if drop_id not in known or known[drop_id].stamp != stamp:
            found.append(Found(feed, day, source, str(path), drop_id, stamp, DropError(rule, reason)))

    for entry in _entries(landing / feed, lambda rule, why: refuse(feed, through, "", landing / feed, rule, why)):
        day = _day(entry.name)
        if entry.name.startswith(".") or (day is not None and day > through):
            continue
        name, place = shown(entry.name), Path(entry.path)
        if entry.is_file(follow_symlinks=False):
            warnings.append(Warned(feed, through, "", name, "stray_file", "a file beside the date folders is ignored"))
        elif day is None or day < EARLIEST:
            reason = f"the folder is not a date from {EARLIEST} on, written YYYY-MM-DD"
            refuse(f"{feed}/{name}", through, "", place, "bad_path", reason)
        else:
            found.extend(_sources(feed, day, place, known, warnings, refuse))
    return found


def strangers(landing: Path, through: date) -> list[Warned]:
    """Folders beside the feeds: what lies in them is looked at by nobody."""
    try:
        names = sorted(entry.name for entry in os.scandir(landing) if entry.is_dir(follow_symlinks=False))
    except OSError:
        return []
    reason = f"no feed is called so; the feeds are {', '.join(feeds())}"
    unknown = (shown(name) for name in names if name not in feeds() and not name.startswith("."))
    return [Warned(name, through, "", "", "unknown_feed", reason) for name in unknown]


def _sources(
    feed: str, day: date, folder: Path, known: Mapping[str, Known], warnings: list[Warned], refuse: _Refuse
) -> Iterator[Found]:
    prefix = f"{feed}/{day}"
    for entry in _entries(folder, lambda rule, why: refuse(prefix, day, "", folder, rule, why)):
        source = entry.name
        if source.startswith("."):
            continue
        drop_id = f"{prefix}/{source}"
        if entry.is_symlink():
            refuse(
                f"{prefix}/{shown(source)}", day, shown(source), Path(entry.path), "symlink", "the drop is a symlink"
            )
        elif not entry.is_dir(follow_symlinks=False):
            reason = "a file beside the source folders is ignored"
            warnings.append(Warned(feed, day, "", shown(source), "stray_file", reason))
        else:
            try:
                # a Path for each of 38,000 drops would cost more than the look itself
                status = os.stat(f"{entry.path}/{CONTROL}", follow_symlinks=False)  # noqa: PTH116
            except FileNotFoundError:
                continue  # not complete yet
            except OSError as error:
                refuse(drop_id, day, source, Path(entry.path), "unreadable", f"{CONTROL}: {error.strerror}")
                continue
            stamp = stamp_of(status)
            if drop_id in known and _is_stamped(known[drop_id].stamp, stamp):
                continue
            if not SOURCE.fullmatch(source):
                reason = "the name of the source holds characters that are not allowed"
                refuse(f"{prefix}/{shown(source)}", day, shown(source), Path(entry.path), "bad_path", reason)
            else:
                yield Found(feed, day, source, entry.path, drop_id, stamp)


def _entries(folder: Path, refuse: _RefuseFolder) -> list[os.DirEntry[str]]:
    """What a folder holds, by name; one that is a symlink or cannot be read holds nothing and is refused."""
    try:
        if folder.is_symlink():
            refuse("symlink", "the folder is a symlink")
            return []
        with os.scandir(folder) as entries:
            return sorted(entries, key=lambda entry: entry.name)
    except FileNotFoundError:
        return []
    except OSError as error:
        refuse("unreadable", f"the folder cannot be read: {error.strerror}")
        return []


def _day(name: str) -> date | None:
    try:
        return date.fromisoformat(name) if re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", name) else None
    except ValueError:
        return None


def stamp_of(status: os.stat_result) -> str:
    """What tells that a file may hold something else than when it was last looked at.

    Size and modification time can be those of before; whoever writes or replaces a file cannot keep its inode and the
    time of its change.
    """
    return f"{status.st_size}:{status.st_mtime_ns}:{status.st_ctime_ns}:{status.st_ino}"


def _is_stamped(known: str, stamp: str) -> bool:
    """Whether a file is as it was; earlier releases looked at size and modification time alone."""
    return known == stamp or (known.count(":") == 1 and stamp.startswith(f"{known}:"))


def _place_stamp(path: Path) -> str:
    try:
        return f"folder:{stamp_of(path.lstat())}"
    except OSError:
        return "folder:"


@contextmanager
def opened(found: Found) -> Iterator[int]:
    """The drop's folder as a descriptor, so that everything in it is opened relative to it."""
    with ExitStack() as stack:
        place = Path(found.path)
        try:
            descriptor = stack.enter_context(handles.folder(place.parents[2], "/".join(place.parts[-3:])))
        except OSError as error:
            rule = "symlink" if error.errno == errno.ELOOP else "unreadable"
            raise DropError(rule, f"the folder cannot be read: {error.strerror}") from error
        yield descriptor


def open_file(folder: int, name: str) -> int:
    """Opens a regular file of a drop; never through a symlink, never blocking on a pipe."""
    try:
        descriptor = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=folder)
    except OSError as error:
        rule = {errno.ELOOP: "symlink", errno.ENOENT: "missing_file", errno.ENXIO: "not_a_file"}.get(
            error.errno or 0, "unreadable"
        )
        raise DropError(rule, f"the file cannot be opened: {error.strerror}", name) from error
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise DropError("not_a_file", "not a regular file", name)
    return descriptor


def read_control(folder: int) -> bytes:
    """The bytes of ``control.json``."""
    descriptor = open_file(folder, CONTROL)
    try:
        data = os.read(descriptor, MAX_CONTROL + 1)
    except OSError as error:
        raise DropError("unreadable", f"the file cannot be read: {error.strerror}", CONTROL) from error
    finally:
        os.close(descriptor)
    if len(data) > MAX_CONTROL:
        raise DropError("control", "larger than 1 MB", CONTROL)
    return data


def parse_control(data: bytes, found: Found) -> Control:
    """The control file, in agreement with the path it lies under."""
    try:
        control = Control.model_validate_json(json_text(data))
    except UnicodeDecodeError as error:
        raise DropError("control", "the file is neither UTF-8 nor UTF-16", CONTROL) from error
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False, include_context=False)[0]
        place = ".".join(str(part) for part in first["loc"][:3])
        raise DropError("control", f"{place}: {first['msg']}" if place else first["msg"], CONTROL) from error
    stated = {"feed": control.feed, "business_date": control.business_date, "source": control.source}
    lies = {"feed": found.feed, "business_date": found.business_date.isoformat(), "source": found.source}
    for key in stated:
        if stated[key] != lies[key]:
            raise DropError("control", f"{key} is not that of the path", CONTROL)
    return control


def data_files(found: Found, control: Control, folder: int, warnings: list[Warned]) -> list[DataFile]:
    """The drop's files as listed; the folder holds no other data, and no symlink. Unknown datasets are among them."""
    files = [_data_file(found.feed, listed) for listed in control.files]
    named: set[str] = set()
    for file in (file for file in files if not file.unknown):
        # poslog.xml stands in place of what it holds
        holds = {file.contract.dataset} if file.contract else {"transactions", "lines", "tenders", "declared_points"}
        if named & holds:
            raise DropError("control", "what the file holds is listed twice", file.name)
        named |= holds
    _check_folder({file.name for file in files}, found, folder, warnings)
    return files


def _data_file(feed: str, listed: ControlFile) -> DataFile:
    match = FILE_NAME.fullmatch(listed.name)
    if not match:
        raise DropError("bad_name", "a listed name is not <dataset>.<format>", shown(listed.name))
    dataset, form, compression = match[1], match[2], match[3] or ""
    if (form == "xml") != (dataset == "poslog") or (form == "parquet" and compression):
        raise DropError("bad_name", "a listed name is not <dataset>.<format>", listed.name)
    contract = None if form == "xml" else datasets(feed).get(dataset)
    unknown = (form == "xml" and feed != "pos") or (form != "xml" and contract is None)
    return DataFile(listed.name, listed.rows, listed.sha256.lower(), contract, form, compression, unknown)


def _check_folder(listed: set[str], found: Found, folder: int, warnings: list[Warned]) -> None:
    try:
        with os.scandir(folder) as entries:
            names = {entry.name: entry.is_symlink() for entry in entries}
    except OSError as error:
        raise DropError("unreadable", f"the folder cannot be read: {error.strerror}") from error
    if missing := listed - names.keys():
        raise DropError("missing_file", "the file is listed and not there", min(missing))
    for name in sorted(names):
        if names[name]:
            raise DropError("symlink", "the drop holds a symlink", shown(name))
        if name in listed or name == CONTROL or name.startswith(".") or name.endswith(".part"):
            continue
        if DATA_FILE.fullmatch(name):
            raise DropError("unlisted_file", f"the file is not listed in {CONTROL}", shown(name))
        warnings.append(
            Warned(found.feed, found.business_date, found.source, shown(name), "stray_file", "the file is ignored")
        )

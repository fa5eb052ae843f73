"""Taking drops: from the landing zone to accepted rows as Parquet, and everything else in quarantine.

Every row of a drop ends in exactly one of three places: a Parquet file, the count of rows that merely repeat
another, or quarantine. Nothing that a drop can hold stops a take (spec: 1-interfaces section 3).
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from itertools import accumulate, islice
from pathlib import Path

import duckdb
import pyarrow as pa

from kanta.contracts import landing
from kanta.errors import BadArguments, KantaError
from kanta.home import Home
from kanta.landing import poslog
from kanta.landing.drops import (
    CONTROL,
    Control,
    DataFile,
    DropError,
    Found,
    Known,
    Warned,
    data_files,
    feeds,
    find,
    opened,
    parse_control,
    read_control,
    strangers,
)
from kanta.landing.limits import ALL_LISTED, Allowance, UnwrittenError, What, in_words, is_full, unlisted
from kanta.landing.router import ANY_AGE, RefusedRow, Router, Stated, drops_table, files_table
from kanta.landing.spool import RawFile, Spools, Target, read

Progress = Callable[[str, int, int], None]

MAX_WARNED = 50  # of one drop, and of what lies beside all; the rest is counted

#: The dataset whose rows a feed's control totals count, and the level at which its rows are refused.
HEADERS = {"pos": "transactions", "call_center": "orders"}

_TEXT, _INT, _DATE = pa.string(), pa.int64(), pa.date32()
DROPS = pa.schema(
    {
        "drop_id": _TEXT, "feed": _TEXT, "business_date": _DATE, "source": _TEXT, "revision": _INT, "status": _TEXT,
        "files": _TEXT, "rows": _INT, "repeated": _INT, "refused": _INT, "transactions": _INT,
        "control_sha256": _TEXT, "stamp": _TEXT, "seq": _INT,
    }
)  # fmt: skip
QUARANTINE = pa.schema(
    {
        "quarantine_id": _TEXT, "feed": _TEXT, "business_date": _DATE, "source": _TEXT, "file": _TEXT, "line": _INT,
        "dataset": _TEXT, "record_key": _TEXT, "level": _TEXT, "rule": _TEXT, "reason": _TEXT, "status": _TEXT,
        "drop_id": _TEXT, "revision": _INT, "raw": _TEXT, "seq": _INT,
    }
)  # fmt: skip
WARNINGS = pa.schema(
    {"feed": _TEXT, "business_date": _DATE, "source": _TEXT, "file": _TEXT, "rule": _TEXT, "reason": _TEXT}
)


@dataclass(frozen=True)
class Intake:
    """What a take brought.

    ``drops``: one row for each drop looked at (schema DROPS; status ``accepted`` or ``quarantined``; ``files`` is
    JSON of name, rows, sha256; ``rows`` accepted, ``repeated`` and ``refused`` together are the rows it held; of a
    refused drop the rows its control file lists). ``quarantine``: one row for each refused drop or row (QUARANTINE;
    ``raw`` is JSON of the row's own columns as text). ``warnings``: what was odd and refused nothing (WARNINGS).
    ``rows``: Parquet files by dataset, each of one drop_date, with the columns of ``contracts.landed()``.
    ``in_rows`` = ``accepted_rows`` + ``repeated_rows`` + ``refused_rows``.
    """

    drops: pa.Table
    quarantine: pa.Table
    warnings: pa.Table
    rows: dict[str, list[Path]]
    in_rows: int
    accepted_rows: int
    repeated_rows: int
    refused_rows: int


@dataclass
class _Drop:
    """A drop on its way through a take."""

    found: Found
    control_sha256: str = ""
    control: Control | None = None
    in_rows: int = 0
    rows: int = 0
    repeated: int = 0
    refused: int = 0
    transactions: int = 0
    error: DropError | None = None
    files: list[int] = field(default_factory=list)  # ordinals in the take
    broken: list[tuple[str, poslog.Broken]] = field(default_factory=list)  # file and element
    aside: list[str] = field(default_factory=list)  # files of datasets that the feed does not have
    spooled: int = 0  # bytes

    @property
    def revision(self) -> int:
        return self.control.revision if self.control else 0

    def refuse(self, error: DropError) -> None:
        """The drop as a whole is refused: nothing of it counts but the rows it says it has."""
        self.error = error
        self.rows = self.repeated = self.transactions = self.spooled = 0
        self.in_rows = self.refused = sum(file.rows for file in self.control.files) if self.control else 0


def take(
    home: Home,
    feed: str,
    through: date,
    known: Mapping[str, Known],
    *,
    seq: int,
    out: Path,
    progress: Progress | None = None,
) -> Intake:
    """Takes the feed's new and changed drops dated at most ``through``; writes accepted rows under ``out``.

    ``known``: what is remembered of drops, by drop_id; one left out is looked at anew, which is how a refused drop is
    released. ``seq``: the take's ordinal, kept with every row. ``out``: a directory that is empty or not there yet.
    ``progress`` is told a stage, what is done and of how much. A drop of a higher revision comes whole again: its
    rows replace all rows with its drop_id. Raises ``KantaError`` for wrong arguments, never for what drops hold.
    """
    if feed not in feeds():
        raise BadArguments(f"There is no feed {feed}.", next_step=f"Use one of {', '.join(feeds())}.")
    if out.exists() and any(out.iterdir()):
        raise KantaError("Accepted rows must go to an empty directory.", where=str(out))
    out.mkdir(parents=True, exist_ok=True)
    tell = progress or (lambda stage, done, total: None)
    warned: list[Warned] = []
    found = find(home.landing, feed, through, known, warned)
    if feed == feeds()[0]:  # a night takes every feed and says it once
        warned += strangers(home.landing, through)
    _shorten(warned, 0)
    aside: dict[str, str] = {}
    while True:  # at most as often as there are drops: each time one more is set aside
        reading = _Reading(home, known, list(warned), aside)
        try:
            return _attempt(reading, feed, found, seq, out, tell)
        except (duckdb.Error, UnwrittenError, MemoryError, OSError) as error:
            largest = reading.largest() if is_full(error) else []
            if not largest:
                raise KantaError(
                    f"The drops could not be taken in: {in_words(error)}",
                    where=str(out),
                    next_step="make room if the disk is full, then run the same command again",
                ) from error
            aside |= dict.fromkeys(largest, _NO_ROOM)
            for left in out.iterdir():
                shutil.rmtree(left, ignore_errors=True)


_NO_ROOM = "there is no room on the disk or in memory to take the drop in; it is looked at again the next night"


def _attempt(reading: _Reading, feed: str, found: Sequence[Found], seq: int, out: Path, tell: Progress) -> Intake:
    """Takes the drops. What it raises when there is no room for them all leaves half of it in ``out``."""
    refused: list[RefusedRow] = []
    files: dict[str, list[Path]] = {}
    work = Path(tempfile.mkdtemp(dir=out, prefix="_spool"))
    try:
        with Spools(work, reading.allowance()) as reading.spools:
            for n, place in enumerate(found, 1):
                reading.look(place)
                if n % 100 == 0 or n == len(found):
                    tell("drops read", n, len(found))
            reading.spools.close()
        if any(drop.error is None for drop in reading.drops):
            with Router(feed, work, reading.settings.days_late.get(feed, ANY_AGE)) as router:
                refused = _route(router, feed, reading, seq, out, tell)
                files = router.routed.files
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return _intake(reading, refused, files, seq)


class _Reading:
    """The part of a take that reads files: fills the spools, notes what each drop holds.

    ``aside``: drops there is no room for, with the reason.
    """

    spools: Spools

    def __init__(self, home: Home, known: Mapping[str, Known], warned: list[Warned], aside: Mapping[str, str]) -> None:
        self.settings, self.known, self.warned, self.aside = home.settings, known, warned, aside
        self.taken: Counter[What] = Counter()
        self.drops: list[_Drop] = []
        self.files: list[tuple[int, str]] = []  # drop and name, by file ordinal

    def look(self, found: Found) -> None:
        """Reads one drop whole, or finds out that it is refused or not new after all."""
        drop, ends, size, said = _Drop(found), self.spools.ends(), self.spools.size(), len(self.warned)
        self.spools.allowance = allowance = self.allowance()
        try:
            if found.refused:
                raise found.refused
            with opened(found) as folder:
                control = self._new_control(drop, folder)
                if control is None:
                    return
                if found.drop_id in self.aside:
                    raise DropError("no_room", self.aside[found.drop_id])
                files = data_files(found, control, folder, self.warned)
                _expect(allowance, files, folder)
                for file in files:
                    self._read(drop, file, folder)
            self.taken += allowance.held
            drop.spooled = self.spools.size() - size
        except DropError as error:
            drop.refuse(error)
            self.spools.back(ends)
        except (UnwrittenError, MemoryError) as error:
            before = max((drop.spooled for drop in self.drops), default=0)
            left_no_room = 2 * before > size and before > self.spools.size() - size
            if not is_full(error) or (isinstance(error, UnwrittenError) and left_no_room):
                raise
            drop.refuse(DropError("no_room", _NO_ROOM))
            self.spools.back(ends)
        _shorten(self.warned, said)
        self.drops.append(drop)

    def allowance(self) -> Allowance:
        """What the next drop may bring."""
        return Allowance(self.settings.drop_limits, self.settings.night_limits, self.taken)

    def largest(self) -> list[str]:
        """The fewest drops that brought half of all bytes: it is not known which of them there was no room for."""
        held = sorted((drop for drop in self.drops if drop.spooled), key=lambda drop: -drop.spooled)
        upto = accumulate(drop.spooled for drop in held)
        half = sum(drop.spooled for drop in held) / 2
        return [drop.found.drop_id for drop, sum_ in zip(held, upto, strict=True) if sum_ - drop.spooled < half]

    def _new_control(self, drop: _Drop, folder: int) -> Control | None:
        """The control file, if it says something not known yet."""
        data = read_control(folder)
        drop.control_sha256 = hashlib.sha256(data).hexdigest()
        before = self.known.get(drop.found.drop_id)
        if before and before.status == "accepted" and before.control_sha256 == drop.control_sha256:
            return None
        drop.control = control = parse_control(data, drop.found)
        if before and control.revision < before.floor:
            reason = f"revision {control.revision} is ignored, {before.floor} was taken before"
            self._warn(drop.found, CONTROL, "older_revision", reason)
            return None
        if before and control.revision == before.floor:
            reason = f"revision {before.floor} was taken before with other content; deliver it as a higher one"
            raise DropError("revision_reused", reason, CONTROL)
        return control

    def _read(self, drop: _Drop, file: DataFile, folder: int) -> None:
        if file.unknown:  # nothing is known of its rows but how many it says it has; the others count
            with RawFile(folder, file, self.spools.allowance) as raw:
                raw.check_digest()
            drop.aside.append(file.name)
            drop.in_rows += file.rows
            drop.refused += file.rows
            return
        file_no = len(self.files)
        self.files.append((len(self.drops), file.name))  # the drop itself comes to its list when it is read
        if file.contract is None:
            document = poslog.spool(folder, file, file_no, self.spools)
            drop.broken += [(file.name, broken) for broken in document.broken]
            if sum(len(before.broken) for before in (*self.drops, drop)) > ALL_LISTED:
                raise unlisted(f"{len(drop.broken):,} transactions are refused")
            drop.in_rows += document.rows + len(document.broken)
            drop.refused += len(document.broken)
            return

        def unknown(column: str) -> None:
            self._warn(drop.found, file.name, "unknown_column", f"column {column!r} is ignored")

        drop.in_rows += read(folder, file, Target(file.contract, file_no, self.spools, unknown))

    def _warn(self, found: Found, file: str, rule: str, reason: str) -> None:
        self.warned.append(Warned(found.feed, found.business_date, found.source, file, rule, reason))


def _shorten(warned: list[Warned], begin: int) -> None:
    """Keeps so many of what was odd since ``begin``, and counts the rest."""
    if more := warned[begin + MAX_WARNED :]:
        reason = f"{len(more):,} more like these"
        warned[begin + MAX_WARNED :] = [replace(more[0], file="", rule="and_more", reason=reason)]


def _expect(allowance: Allowance, files: Sequence[DataFile], folder: int) -> None:
    """Refuses the drop before anything of it is read, if it is known by then to hold more than it may."""
    allowance.expect("rows", sum(file.rows for file in files))
    # A document's rows are counted while it is read: the control file counts its transactions.
    allowance.count("rows", sum(file.rows for file in files if file.format != "xml"))
    for file in files:
        try:
            size = os.stat(file.name, dir_fd=folder, follow_symlinks=False).st_size
        except OSError as error:
            raise DropError("unreadable", f"the file cannot be read: {error.strerror}", file.name) from error
        allowance.count("megabytes", size)


def _route(router: Router, feed: str, reading: _Reading, seq: int, out: Path, tell: Progress) -> list[RefusedRow]:
    """Routes what was read, writes what is accepted, and completes the drops' counts."""
    whole = {n: drop.found for n, drop in enumerate(reading.drops) if drop.error is None}
    router.load(
        reading.spools.all,
        drops_table(whole.items()),
        files_table([(n, drop, name) for n, (drop, name) in enumerate(reading.files) if drop in whole]),
        lambda done, total: tell("spools typed", done, total),
    )
    wrong = _wrong_totals(router, feed, reading, whole)
    for n, reason in wrong.items():
        reading.drops[n].refuse(DropError("control_totals", reason, CONTROL))
    router.forget(wrong)
    router.route()
    unlisted_drops = router.unlisted()
    for n, said in unlisted_drops.items():
        reading.drops[n].refuse(unlisted(said))
    router.forget(unlisted_drops)
    router.write(out, seq, lambda done, total: tell("datasets written", done, total))
    refused = sorted(router.refused(), key=lambda row: (row.drop, row.file, row.line))
    for row in refused:
        reading.drops[row.drop].refused += 1
    for n, drop in enumerate(reading.drops):
        drop.rows = router.routed.accepted.get(n, 0)
        drop.repeated = router.routed.repeated.get(n, 0)
        drop.transactions = router.routed.headers.get(n, 0)
        if drop.in_rows != drop.rows + drop.repeated + drop.refused:
            counts = f"{drop.in_rows} read, {drop.rows} accepted, {drop.repeated} repeated, {drop.refused} refused"
            raise KantaError(f"Rows of a drop were lost on the way: {counts}.", where=drop.found.drop_id)
    return refused


def _wrong_totals(router: Router, feed: str, reading: _Reading, whole: Iterable[int]) -> dict[int, str]:
    """Drops whose control totals are not what their files hold, with the reason."""
    header = HEADERS.get(feed, "")
    stated, wrong = [], {}
    for n in whole:
        drop = reading.drops[n]
        totals = drop.control.totals if drop.control else None
        if totals:
            counts = {"transactions": totals.transactions, "orders": totals.orders}
            stated.append(Stated(n, counts.pop(header, None), totals.net_amount, len(drop.broken)))
            for name in (name for name, count in counts.items() if count):
                wrong[n] = f"{name}: the control file says {counts[name]}, the files hold 0"
    return router.check_totals(header, stated) | wrong


def _intake(reading: _Reading, refused: list[RefusedRow], files: dict[str, list[Path]], seq: int) -> Intake:
    drops = reading.drops
    return Intake(
        drops=pa.Table.from_pylist([_drop_row(drop, seq) for drop in drops], DROPS),
        quarantine=_table(_quarantine(reading, refused, seq), QUARANTINE),
        warnings=pa.Table.from_pylist([dict(vars(warning)) for warning in reading.warned], WARNINGS),
        rows=files,
        in_rows=sum(drop.in_rows for drop in drops),
        accepted_rows=sum(drop.rows for drop in drops),
        repeated_rows=sum(drop.repeated for drop in drops),
        refused_rows=sum(drop.refused for drop in drops),
    )


def _table(rows: Iterator[dict[str, object]], schema: pa.Schema) -> pa.Table:
    """Rows as a table, a part of them at a time in memory as objects."""
    parts = iter(lambda: list(islice(rows, 10_000)), [])
    return pa.Table.from_batches([pa.RecordBatch.from_pylist(part, schema) for part in parts], schema)


#: Rules that a drop may break one night and not the next, though nothing in it changes.
_ONCE_MORE = ("unreadable", "no_room", "night_limit")


def _drop_row(drop: _Drop, seq: int) -> dict[str, object]:
    listed = drop.control.files if drop.control else []
    return {
        "drop_id": drop.found.drop_id,
        "feed": drop.found.feed,
        "business_date": drop.found.business_date,
        "source": drop.found.source,
        "revision": drop.revision,
        "status": "quarantined" if drop.error else "accepted",
        "files": json.dumps([{"name": f.name, "rows": f.rows, "sha256": f.sha256} for f in listed]),
        "rows": drop.rows,
        "repeated": drop.repeated,
        "refused": drop.refused,
        "transactions": drop.transactions,
        "control_sha256": drop.control_sha256,
        # what could not be read may be readable next time without having changed
        "stamp": "" if drop.error and drop.error.rule in _ONCE_MORE else drop.found.stamp,
        "seq": seq,
    }


def _quarantine(reading: _Reading, refused: list[RefusedRow], seq: int) -> Iterator[dict[str, object]]:
    """Quarantine rows: refused drops, files set aside, refused elements of documents, refused rows."""
    seen: dict[tuple[object, ...], int] = {}

    def row(
        drop: _Drop, file: str, line: int | None, dataset: str, key: str, level: str, rule: str, reason: str, raw: str
    ) -> dict[str, object]:
        place = (drop.found.drop_id, drop.revision, file, dataset, line, rule)
        seen[place] = seen.get(place, 0) + 1  # rows of a document without line breaks stand all in one line
        digest = hashlib.sha256("\x1f".join(map(str, (*place, seen[place]))).encode()).hexdigest()
        return {
            "quarantine_id": digest[:16],
            "feed": drop.found.feed,
            "business_date": drop.found.business_date,
            "source": drop.found.source,
            "file": file,
            "line": line,
            "dataset": dataset,
            "record_key": key,
            "level": level,
            "rule": rule,
            "reason": reason,
            "status": "open",
            "drop_id": drop.found.drop_id,
            "revision": drop.revision,
            "raw": raw,
            "seq": seq,
        }

    for drop in reading.drops:
        if drop.error:
            error = drop.error
            yield row(drop, error.file, error.line, "", "", "drop", error.rule, error.reason, "")
            continue
        for file in drop.aside:
            reason = f"the feed {drop.found.feed} has no such dataset"
            yield row(drop, file, None, file.partition(".")[0], "", "file", "unknown_dataset", reason, "")
        for file, broken in drop.broken:
            raw = json.dumps({"transaction_id": broken.transaction_id} if broken.transaction_id else {})
            key, reason = broken.transaction_id, broken.reason
            yield row(drop, file, broken.line, "transactions", key, "transaction", "poslog", reason, raw)
    headers = [contract for contract in landing().values() if contract.dataset in HEADERS.values()]
    said = {check.name for contract in headers for check in contract.checks}
    whole = {(found.drop, found.record_key) for found in refused if found.rule in said}
    for found in refused:
        # Of a receipt that does not add up one row says all; its lines and tenders are not listed again.
        if found.rule == "companion" and (found.drop, found.record_key) in whole:
            continue
        drop, file = reading.drops[found.drop], reading.files[found.file][1]
        place = (file, found.line, found.dataset, found.record_key, found.level)
        yield row(drop, *place, found.rule, found.reason, found.raw)

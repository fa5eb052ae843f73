"""Distribution: what each store is to hold goes out as packages, and what it answers is taken in (spec 6-distribution).

A night, for each database and job: its view V(n) is made (``view``); unchanged, the session ends as no_data; else the
package is recorded with its hash, uploaded, its manifest last, and becomes available (``sessions``, ``transport``).
Acknowledgements (``inbox``) move sessions on. Every step may be the last one of a process: the next run goes on.

Packages are full so far. Deltas come in at ``_package``, which has the view and will get what the store had.
"""

from __future__ import annotations

import fcntl
import hashlib
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from kanta.distribution import view
from kanta.distribution.inbox import acknowledge
from kanta.distribution.protocol import (
    LAST_SEQUENCE,
    MANIFEST,
    MOST_BYTES,
    SCHEMA_VERSION,
    Manifest,
    acknowledged_sequence,
    package_sequence,
    sha256,
)
from kanta.distribution.sessions import UNSENT, Book, Line, Session, recording
from kanta.distribution.transport import Folders
from kanta.distribution.view import Progress, StoreView
from kanta.engine import Engine
from kanta.home import Home
from kanta.lake import Lake
from kanta.night import Night
from kanta.reading import as_table

__all__ = ["Session", "acknowledge", "groups", "run", "send", "status", "table"]

#: The jobs that are made so far, in order.
MADE = ("1050",)


def groups(home: Home, business_date: date) -> list[str]:
    """The data groups that have databases on the opening day, by name; :func:`send` serves them one by one.

    Raises KantaError when the night of ``business_date`` is not published yet.
    """
    with TemporaryDirectory() as folder, view.published(home, business_date, None, Path(folder)) as (engine, _):
        return sorted(set(view.databases(engine).values()))


def send(
    home: Home, business_date: date, data_group: str | None = None, progress: Progress | None = None
) -> list[Session]:
    """Sends what is published to the stores of a data group (default: all); returns the sessions that moved.

    What is sent is the newest publication, which may be of a later night than ``business_date``: dates never go back,
    and what it says is what a store needs. The same publication sent again moves nothing. Groups may be sent by
    several processes at once. It takes the lake's lock itself, shortly: do not call it inside a stage. A store that
    cannot be served ends as create_failed, the others go on. Raises KantaError when the night is not published yet.
    """
    with _alone(home, data_group) as workspace:
        with view.published(home, business_date, data_group, workspace) as (engine, published):
            moved = acknowledge(home, published, view.databases(engine))
            views = {job: view.build(engine, job, workspace / job, progress) for job in MADE}
        for job, of_job in views.items():
            moved += _send(home, published, job, of_job, progress)
    last = {(*session.line, session.sequence): session for session in moved}
    return [last[key] for key in sorted(last)]


def run(
    home: Home, business_date: date, progress: Progress | None = None, data_group: str | None = None
) -> dict[str, Any]:
    """:func:`send`, told in numbers; ``failed``: the names of the databases that failed."""
    sessions = send(home, business_date, data_group, progress)
    sent = [session for session in sessions if session.state == "available"]
    return {
        "packages": len(sent),
        "bytes": sum(session.bytes for session in sent),
        "no_data": sum(session.state == "no_data" for session in sessions),
        "applied": sum(session.state == "applied" for session in sessions),
        "failed": sorted({session.database for session in sessions if session.state.endswith("_failed")}),
    }


@contextmanager
def _alone(home: Home, data_group: str | None) -> Iterator[Path]:
    """Waits until nobody else sends to these stores; gives an empty folder to make packages in, and clears it."""
    root = home.lake / "work" / "distribution"
    root.mkdir(parents=True, exist_ok=True)
    name = "all" if data_group is None else hashlib.sha256(data_group.encode()).hexdigest()[:16]
    with (root / "all.lock").open("a") as every, (root / f"{name}.lock").open("a") as own:
        fcntl.flock(every, fcntl.LOCK_EX if data_group is None else fcntl.LOCK_SH)
        if data_group is not None:
            fcntl.flock(own, fcntl.LOCK_EX)
        workspace = root / name
        shutil.rmtree(workspace, ignore_errors=True)  # what a run that died has left
        workspace.mkdir()
        try:
            yield workspace
        finally:
            shutil.rmtree(workspace)


# ── one job's packages ───────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class _Upload:
    """A package that is recorded and can go."""

    session: Session
    manifest: Manifest
    view: StoreView


def _send(
    home: Home, business_date: date, job: str, views: list[StoreView], progress: Progress | None
) -> list[Session]:
    """Records, uploads, records what came of it."""
    outbox, inbox = Folders(home.outbox), Folders(home.inbox)
    seen = {item.database: _highest_seen(item, job, outbox, inbox) for item in views}
    lines = [(item.database, job) for item in views]
    with recording(home, business_date) as book:
        sessions, heard = book.sessions(lines), book.heard(lines)
        uploads = []
        for item in views:
            line = (item.database, job)
            top = max(seen[item.database], heard[line].beyond)
            upload = _begin(book, line, item, _settled(book, outbox, sessions[line]), top, business_date)
            uploads += [upload] if upload else []
    moved = dict(book.moved)
    problems = {}
    for done, upload in enumerate(uploads, start=1):
        problems[upload.session.line] = _upload(outbox, upload)
        if progress:
            progress(f"uploads {job}", done, len(uploads))
    if uploads:
        with recording(home, business_date) as book:
            now = book.sessions(problems, (upload.session.place for upload in uploads))
            for upload in uploads:
                _record_upload(book, upload, now[upload.session.line], problems[upload.session.line])
        moved |= book.moved
    return list(moved.values())


def _highest_seen(item: StoreView, job: str, outbox: Folders, inbox: Folders) -> int:
    """The highest sequence that outbox and inbox know; a place that cannot be listed is the database's problem."""
    if item.problem:
        return 0
    try:
        sent = [package_sequence(name) for name in outbox.names(f"{item.database}/{job}")]
        answered = [acknowledged_sequence(name) for name in inbox.names(f"{item.database}/{job}")]
    except OSError as error:
        item.problem = f"Its outbox or inbox cannot be listed: {error.strerror or error}."
        return 0
    return max((sequence for sequence in (*sent, *answered) if sequence), default=0)


def _settled(book: Book, outbox: Folders, sessions: list[Session]) -> list[Session]:
    """The sessions, after what a run that died has sent but not recorded is recorded."""
    return [_settle(book, outbox, session) for session in sessions]


def _settle(book: Book, outbox: Folders, session: Session) -> Session:
    if session.state not in UNSENT or not session.manifest_sha256:
        return session
    try:
        manifest = outbox.read(f"{session.place.package}/{MANIFEST}", MOST_BYTES)
    except OSError:
        return session
    if manifest is None or sha256(manifest) != session.manifest_sha256:
        return session
    session = book.step(session, "started") if session.state == "create_failed" else session
    return book.step(session, "available", detail="found in the outbox")


def _begin(
    book: Book, line: Line, item: StoreView, sessions: list[Session], seen: int, business_date: date
) -> _Upload | None:
    """Decides what a database's next session is and records it; gives what is to be uploaded, if anything."""
    if sessions and business_date < sessions[-1].business_date:
        return None  # dates never go back
    highest = sessions[-1].sequence if sessions else 0
    top = max(highest, seen)
    if top >= LAST_SEQUENCE:
        item.problem = f"No sequence is left: its outbox, inbox or sessions know {top:08d}."
    unsent = [session for session in sessions if session.state in UNSENT]
    same = next((s for s in unsent if s.sequence == top and s.business_date == business_date), None)
    last = next((session for session in reversed(sessions) if session.was_available), None)
    if item.problem:
        _cancel(book, unsent, same)
        session = _again(book, same) or book.begin(line, top + 1, business_date, item.data_group)
        book.step(session, "create_failed", "view", item.problem)
        return None
    # A sequence that sessions do not know is of a lake that was restored: what the store has is not known.
    if last and last.state != "canceled" and last.view_sha256 == item.sha256 and top == highest:
        _cancel(book, unsent)
        if not any(session.business_date == business_date for session in sessions if session not in unsent):
            book.step(book.begin(line, top + 1, business_date, item.data_group), "no_data")
        return None
    manifest = _package(line, item, same.sequence if same else top + 1, last, business_date)
    if same and same.manifest_sha256 not in ("", sha256(manifest.to_bytes())):
        same, manifest = None, _package(line, item, top + 1, last, business_date)
    _cancel(book, unsent, same)
    session = _again(book, same) or book.begin(line, manifest.sequence, business_date, item.data_group)
    if not session.manifest_sha256:
        session = book.package(session, manifest, item.sha256)
    return _Upload(session, manifest, item)


def _again(book: Book, session: Session | None) -> Session | None:
    """The next try of a session that did not come to its end."""
    return book.step(session, "started") if session and session.state == "create_failed" else session


def _cancel(book: Book, unsent: list[Session], keep: Session | None = None) -> None:
    for session in unsent:
        if session is not keep:
            book.step(session, "canceled", "superseded", "never sent")


def _package(line: Line, item: StoreView, sequence: int, last: Session | None, business_date: date) -> Manifest:
    """The package that brings a store to the view, whatever it holds."""
    return Manifest(
        schema_version=SCHEMA_VERSION,
        database=line[0],
        job=line[1],
        sequence=sequence,
        mode="full",
        base_sequence=0,
        applies_to={},
        previous_manifest_sha256=last.manifest_sha256 if last else None,
        business_date=business_date.isoformat(),
        datasets=tuple(item.datasets.values()),
        control_totals=item.totals,
    )


def _upload(outbox: Folders, upload: _Upload) -> str:
    """Puts a package up, its manifest last; what fails is told and concerns this store alone."""
    folder = upload.session.place.package
    try:
        for dataset, path in upload.view.files.items():
            outbox.upload(path, f"{folder}/{upload.view.datasets[dataset].file}")
        outbox.upload(upload.manifest.to_bytes(), f"{folder}/{MANIFEST}")
    except OSError as error:
        return f"The upload failed: {error.strerror or error}."
    return ""


def _record_upload(book: Book, upload: _Upload, sessions: list[Session], problem: str) -> None:
    """Records what came of an upload, unless the store's own answer was recorded before."""
    session = next(session for session in sessions if session.sequence == upload.session.sequence)
    if session.state == "started":
        book.step(session, "create_failed" if problem else "available", "upload" if problem else "", problem)


# ── looking at it ────────────────────────────────────────────────────────────────────────────────────────────────


def status(home: Home, database: str | None = None) -> list[dict[str, Any]]:
    """Where each database stands with each job: its last session, what it applied last, and what waits.

    ``waiting``: sessions that are not final: packages to be uploaded, up, or failed.
    """
    lake = Lake(home)
    with TemporaryDirectory() as folder, Engine(Path(folder)) as engine:
        stage = Night(home, lake, engine, "distribution", lake.head(), date.min)
        stage.attach("distribution.session_states")
        cursor = engine.execute(
            """
            select
                database,
                job,
                max_by(data_group, sequence) as data_group,
                max(sequence) as sequence,
                max_by(state, sequence) as state,
                max_by(business_date, sequence) as business_date,
                coalesce(max(sequence) filter (where state = 'applied'), 0) as applied_sequence,
                max(business_date) filter (where state = 'applied') as applied_business_date,
                count(*) filter (where state not in ('applied', 'no_data', 'canceled')) as waiting,
                max_by(coalesce(detail, ''), sequence) as detail
            from distribution.session_states
            where $database is null or database = $database
            group by database, job
            order by database, job
            """,
            {"database": database},
        )
        names = [column[0] for column in cursor.description or ()]
        return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]


def table(rows: list[dict[str, Any]]) -> str:
    """:func:`status` as text, one line for each database and job."""
    if not rows:
        return "No packages yet. Next: kanta run --date D"
    return as_table(list(rows[0]), [tuple(row.values()) for row in rows])

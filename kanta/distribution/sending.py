"""One night's sending: acknowledgements in, views compared, packages made, recorded, uploaded, recorded again.

Every step may be the last one of a process: the next run goes on. A store that cannot be served ends as
create_failed, the others go on.
"""

from __future__ import annotations

import fcntl
import hashlib
import shutil
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pyarrow as pa

from kanta.distribution import held, inbox, keys, packing, planning, transport, view
from kanta.distribution.packing import FULL, Parcel, Staging
from kanta.distribution.planning import Decision, Work
from kanta.distribution.protocol import (
    MANIFEST,
    MOST_BYTES,
    SCHEMA_VERSION,
    SIGNATURE,
    Manifest,
    Totals,
    acknowledged_sequence,
    is_plain,
    package_sequence,
    sha256,
    total_names,
)
from kanta.distribution.sessions import FINAL, UNSENT, Book, Line, Session, recording
from kanta.distribution.transport import Transport, UnreachableError
from kanta.distribution.view import Database, Published
from kanta.engine import Engine
from kanta.home import Home
from kanta.lake import Lake
from kanta.programme.model import DatabaseKeys, Distribution

Progress = Callable[[str, int, int], None]

#: What an upload says of a package whose place does not answer.
WAITS = "waits"

#: What stands for all jobs in a schedule.
ALL_JOBS, ALL_GROUPS = "9999", "all"


@dataclass(frozen=True)
class Asked:
    """A package that someone wants of these databases, unchanged or not; ``jobs``: empty for all."""

    databases: frozenset[str]
    jobs: frozenset[str] = frozenset()
    full: bool = False


@dataclass
class _Package:
    """A package that is decided, made and, once it is recorded, to be uploaded."""

    work: Work
    decision: Decision
    parcel: Parcel
    manifest: Manifest
    session: Session | None = None


def send(
    home: Home,
    business_date: date,
    data_group: str | None = None,
    progress: Progress | None = None,
    asked: Asked | None = None,
    said: dict[str, list[str]] | None = None,
) -> list[Session]:
    """Sends what is published to the stores of a data group (default: all); returns the sessions that moved.

    What is sent is the newest publication, which may be of a later night than ``business_date``: dates never go back,
    and what it says is what a store needs. The same publication sent again moves nothing. Groups may be sent by
    several processes at once. It takes the lake's lock itself, shortly: do not call it inside a stage. A store that
    cannot be served ends as create_failed, the others go on; while a place as a whole does not answer all wait.
    ``said`` is told that place (``unreachable``) and the answers of stores that are not believed (``doubted``). Raises
    KantaError when the night is not published yet.
    """
    moved: dict[tuple[str, str, int], Session] = {}
    packages: Sequence[_Package] | None = None
    while packages is None:
        with alone(home, data_group) as workspace:
            number = Lake(home).published().number
            with view.published(home, business_date, data_group, workspace) as published:
                night = _Night(home, published, workspace, data_group, progress)
                night.prepare(asked)
                night.compare()
                packages = night.record(night.make(), number)
                night.upload(packages or ())
            if said is not None:
                said["unreachable"] = [night.silent] if night.silent else []
                said["doubted"] = [*said.get("doubted", ()), *night.doubted]
        moved |= night.moved
    return [moved[key] for key in sorted(moved)]


def jobs_of(rules: Distribution, data_group: str | None) -> list[str]:
    """The jobs that active schedules send to a data group (None: to any), in the order of the programme's jobs."""
    wanted = {
        job
        for schedule in rules.schedules
        if schedule.active and (data_group is None or {data_group, ALL_GROUPS} & set(schedule.data_groups))
        for job in schedule.jobs
    }
    return [job for job in rules.jobs if ALL_JOBS in wanted or job in wanted]


@contextmanager
def alone(home: Home, data_group: str | None) -> Iterator[Path]:
    """Waits until nobody else sends to these stores; gives an empty folder to make packages in, and clears it."""
    root = home.lake / "work" / "distribution"
    root.mkdir(parents=True, exist_ok=True)
    name = group_name(data_group)
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


def group_name(data_group: str | None) -> str:
    """A plain name for a data group, whatever it is called."""
    return "all" if data_group is None else hashlib.sha256(data_group.encode()).hexdigest()[:16]


def next_mark(home: Home) -> int:
    """Ordinal of the change of the lake that would come next: above that of every package recorded so far."""
    return Lake(home).head().seq + 1


def answers_of(home: Home, rules: Distribution, data_group: str | None, place: Transport | None = None) -> inbox.Inbox:
    """The inbox (``place``, where it is open already) as those who serve this data group read it."""
    file = home.lake / "sent" / f"answers.{group_name(data_group)}.parquet"
    return inbox.Inbox(place or transport.inbox(home), rules, file, next_mark(home) - 1)


def kept_from(rules: Distribution, business_date: date) -> date:
    """The first night whose packages are kept and can be a base."""
    return max(business_date, date.min + timedelta(days=rules.retention_days)) - timedelta(days=rules.retention_days)


class _Night:
    """What one run of :func:`send` works on; its methods are its steps, in order."""

    def __init__(
        self, home: Home, published: Published, workspace: Path, data_group: str | None, progress: Progress | None
    ) -> None:
        self.home, self.published, self.workspace, self.group = home, published, workspace, data_group
        self.engine, self.business_date, self.rules = published.engine, published.business_date, published.rules
        self.progress = progress or (lambda what, done, of: None)
        self.sign = keys.signer(_name_of(self.rules.keys.get("sign")))
        self.outbox, self.inbox = transport.outbox(home), transport.inbox(home)
        self.works: dict[Line, Work] = {}
        self.moved: dict[tuple[str, str, int], Session] = {}
        self.purge = 0
        self.kept_from = kept_from(self.rules, self.business_date)
        self.silent = ""
        self.doubted: list[str] = []

    # ── where everybody stands ───────────────────────────────────────────────────────────────────────────────

    def prepare(self, asked: Asked | None) -> None:
        """Takes acknowledgements in, closes databases that are gone, and looks where each line stands."""
        databases = self.published.databases()
        for database in databases:
            for job in self._jobs(database, asked):
                self.works[database.name, job] = self._work(database, job, asked)
        # The outbox first: a store answers before it takes a package away.
        old: dict[Line, list[int]] = {line: self._look(work) for line, work in self.works.items()}
        self._places_answer()
        box = answers_of(self.home, self.rules, self.group, self.inbox)
        answers = [] if self.silent and self._one_server() else box.read([d.name for d in databases])
        self._places_answer()
        with recording(self.home, self.business_date, self.rules) as book:
            inbox.take_in(book, answers)
            gone = self._close(book)
            every = [(database.name, job) for database in databases for job in self.rules.jobs]
            sessions, heard = book.sessions(every), book.heard(every)
            packages = book.packages(every, self.kept_from)
            self.purge = book.oldest_mark(self.kept_from)
            for line, work in self.works.items():
                work.sessions = [self._settle(book, session) for session in sessions[line]]
                work.heard, work.packages = heard[line], packages[line]
                if not self.silent and (lost := work.lost) and lost.business_date < self.business_date:
                    canceled = book.step(lost, "canceled", "lost", "no longer in the outbox, never acknowledged")
                    work.sessions[work.sessions.index(lost)] = canceled
        if not self.silent:
            box.taken_in(next_mark(self.home) - 1)
        for work in self.works.values():
            held_up = [
                s for job in self.rules.jobs for s in sessions[work.database.name, job] if s.state == "suspended"
            ]
            work.waits_for = f"waits for {held_up[0].name}, suspended" if held_up else self.silent
        self.moved |= book.moved
        self.doubted = book.doubted
        for name, job in gone:
            clear(self.outbox, name, job)
        for line, sequences in old.items():
            self._forget_old(self.works[line], sequences)

    def _jobs(self, database: Database, asked: Asked | None) -> list[str]:
        scheduled = jobs_of(self.rules, database.data_group)
        extra = set(asked.jobs or self.rules.jobs) if asked and database.name in asked.databases else set()
        return [job for job in self.rules.jobs if job in scheduled or job in extra]

    def _work(self, database: Database, job: str, asked: Asked | None) -> Work:
        wanted = asked and database.name in asked.databases and (not asked.jobs or job in asked.jobs)
        work = Work(database, job, tuple(self.rules.jobs[job]))
        work.asked = "" if not (asked and wanted) else "full" if asked.full else "again"
        work.excluded = database.offline and job in self.rules.exclude_from_offline
        if not is_plain(database.name) or not is_plain(job):
            work.problem = "The database's name cannot stand in a path; only letters, digits, _ . and - can."
        return work

    def _look(self, work: Work) -> list[int]:
        """Notes the highest sequence that outbox and inbox know, and what can be taken; gives all they know.

        A place that cannot be listed is the database's problem.
        """
        if work.problem:
            return []
        path = f"{work.database.name}/{work.job}"
        try:
            sent = [sequence for name in self.outbox.names(path) if (sequence := package_sequence(name))]
            newest = max(sent, default=0)
            whole = not sent or MANIFEST in self.outbox.names(f"{path}/{newest:08d}")
            answered = [sequence for name in self.inbox.names(path) if (sequence := acknowledged_sequence(name))]
        except UnreachableError:  # nobody's own trouble: all wait
            return []
        except OSError as error:
            work.problem = f"Its outbox or inbox cannot be listed: {error.strerror or error}."
            return []
        work.seen = max((*sent, *answered), default=0)
        work.there = frozenset(sent) - (frozenset() if whole else {newest})
        return sorted({*sent, *answered})

    def _places_answer(self) -> None:
        """Notes which place does not answer at all: one verdict, and every database waits for it."""
        for name, place in (("outbox", self.outbox), ("inbox", self.inbox)):
            if verdict := transport.verdict_of(place):
                self.silent = f"the {name} does not answer: {verdict}"

    def _one_server(self) -> bool:
        """Whether outbox and inbox are on one server: what does not answer for one does not for the other."""
        out, into = (urlsplit(url).netloc for url in (self.home.settings.outbox, self.home.settings.inbox))
        return out == into != ""

    def _settle(self, book: Book, session: Session) -> Session:
        """A session after what a run that died has sent but not recorded is recorded."""
        if session.state not in UNSENT or not session.manifest_sha256:
            return session
        try:
            manifest = self.outbox.read(f"{session.place.package}/{MANIFEST}", MOST_BYTES)
        except OSError:
            return session
        if manifest is None or sha256(manifest) != session.manifest_sha256:
            return session
        session = book.step(session, "started") if session.state == "create_failed" else session
        return book.step(session, "available", detail="found in the outbox")

    def _close(self, book: Book) -> list[Line]:
        """Ends the sessions of databases that are no longer there; if they come back, they begin with a full one."""
        gone = book.gone(self.published.known())
        sessions = book.sessions(gone)
        for line in gone:
            last = sessions[line][-1]
            begun = book.begin(line, last.sequence + 1, max(last.business_date, self.business_date), last.data_group)
            for session in (*sessions[line], begun):
                if session.state not in FINAL:
                    book.step(session, "canceled", "gone")
        return gone

    def _forget_old(self, work: Work, sequences: Sequence[int]) -> None:
        """Past retention a package's files go, never an unacknowledged latest; so does what was answered of them."""
        kept = [p.sequence for p in work.packages if p.business_date >= self.kept_from]
        if work.packages and work.packages[-1].sequence > work.heard.base[0]:
            kept.append(work.packages[-1].sequence)
        before = min(kept, default=work.packages[-1].sequence + 1 if work.packages else 0)
        for sequence in sequences:
            if sequence < before:
                if sequence in work.there:
                    with suppress(OSError):
                        self.outbox.remove(f"{work.database.name}/{work.job}/{sequence:08d}")
                for name in ("", SIGNATURE):
                    with suppress(OSError):
                        self.inbox.remove(f"{work.database.name}/{work.job}/{sequence:08d}.ack.json{name}")

    # ── what they are to hold, and what of it they get ───────────────────────────────────────────────────────

    def compare(self) -> None:
        """Works all views out and compares them with what was last sent."""
        jobs = {job: [work for work in self.works.values() if work.job == job] for job in self.rules.jobs}
        view.work_out(
            self.engine, [dataset for job, works in jobs.items() if works for dataset in self.rules.jobs[job]]
        )
        for done, (job, works) in enumerate(jobs.items(), start=1):
            if not works:
                continue
            leave_out(self.engine, works)
            told = [
                held.Told(work.database.name, held.layout_of(work.datasets, form_of(self.rules, work)), work.highest)
                for work in works
            ]
            found = held.update(
                self.engine,
                self.home.lake / "sent" / job,
                group_name(self.group),
                self.rules.jobs[job],
                told,
                lambda: next_mark(self.home),
                self.purge,
            )
            for work in works:
                content = found[work.database.name]
                empty = dict.fromkeys(content.datasets, (0, 0))
                work.content = held.Content(empty, content.since) if work.excluded else content
            self.progress("views", done, len(jobs))

    def make(self) -> list[_Package]:
        """Decides and makes all packages; what becomes of the lines without one is recorded with them."""
        self.decisions = {
            line: planning.decide(work, self.business_date, self.kept_from) for line, work in self.works.items()
        }
        made = []
        with Staging(self.workspace / "staging") as staging:
            for job in self.rules.jobs:
                works = [w for w in self.works.values() if w.job == job and self.decisions[w.line].kind == "package"]
                parcels = [self._parcel(work, self.decisions[work.line]) for work in works]
                if not parcels:
                    continue
                packing.pack(self.engine, parcels, staging)
                totals = view.card_totals(self.engine) if "cards" in self.rules.jobs[job] else {}
                for work, parcel in zip(works, parcels, strict=True):
                    if parcel.problem:
                        work.problem = parcel.problem
                        continue
                    made.append(self._package(work, self.decisions[work.line], parcel, totals, staging))
        return made

    def _parcel(self, work: Work, decision: Decision) -> Parcel:
        found = self.rules.keys.get(work.database.name)
        return Parcel(
            database=work.database.name,
            job=work.job,
            sequence=decision.sequence,
            business_date=self.business_date,
            form=form_of(self.rules, work),
            since=decision.base.seq if decision.base else FULL,
            datasets=work.datasets,
            recipient=found.encrypt if isinstance(found, DatabaseKeys) else None,
            empty=work.excluded,
        )

    def _package(
        self, work: Work, decision: Decision, parcel: Parcel, totals: Mapping[str, Totals], staging: Staging
    ) -> _Package:
        last = work.last

        def manifest() -> Manifest:
            return Manifest(
                schema_version=SCHEMA_VERSION,
                database=work.database.name,
                job=work.job,
                sequence=parcel.sequence,
                mode="delta" if decision.base else "full",
                base_sequence=decision.base.sequence if decision.base else 0,
                applies_to=decision.applies_to,
                previous_manifest_sha256=last.manifest_sha256 if last else None,
                business_date=self.business_date.isoformat(),
                datasets=tuple(parcel.entries.values()),
                control_totals=totals_of(work, totals.get(work.database.name, {})),
            )

        same = planning.unsent_of(work, self.business_date)
        made = manifest()
        if same and same.manifest_sha256 not in ("", sha256(made.to_bytes())):
            # A try sends the same bytes or takes a new sequence.
            parcel.sequence = work.top + 1
            packing.finish(parcel, staging)
            made = manifest()
        return _Package(work, decision, parcel, made)

    # ── saying so, and sending ───────────────────────────────────────────────────────────────────────────────

    def record(self, packages: Sequence[_Package], number: int) -> Sequence[_Package] | None:
        """Records every decision, each package before any of it is sent; gives what is to be uploaded.

        None when publication ``number`` is no longer the newest: all is to be decided anew. Another group may have
        compared the newer one already, and what it marked as changed would count as told to these stores.
        """
        by_line = {package.work.line: package for package in packages}
        lines = [line for line, decision in self.decisions.items() if decision.kind != "nothing"]
        lines += [line for line, d in self.decisions.items() if d.kind == "nothing" and self._superseded(line)]
        if not lines:
            return packages
        with recording(self.home, self.business_date, self.rules) as book:
            if Lake(self.home).published().number != number:
                return None
            now = book.sessions(lines)
            for line in lines:
                self._record(book, self.works[line], self.decisions[line], by_line.get(line), now[line])
        self.moved |= book.moved
        return packages

    def _superseded(self, line: Line) -> bool:
        return any(session.state in UNSENT for session in self.works[line].sessions)

    def _record(self, book: Book, work: Work, decision: Decision, package: _Package | None, now: list[Session]) -> None:
        unsent = [session for session in now if session.state in UNSENT]
        if now and self.business_date < now[-1].business_date:
            return
        sequence = package.parcel.sequence if package else decision.sequence
        same = next((session for session in unsent if session.sequence == sequence), None)
        if decision.kind != "nothing" and same is None and sequence <= (now[-1].sequence if now else 0):
            return  # its store answered meanwhile; the next run decides anew
        for session in unsent:
            if session is not same:
                book.step(session, "canceled", "superseded", "never sent")
        if decision.kind == "nothing":
            return
        if decision.kind == "no_data":
            book.step(book.begin(work.line, sequence, self.business_date, work.database.data_group), "no_data")
            return
        if decision.kind == "waits":
            if same is None:
                book.begin(work.line, sequence, self.business_date, work.database.data_group, work.waits_for)
            return
        if same is None:
            session = book.begin(work.line, sequence, self.business_date, work.database.data_group)
        else:
            session = book.step(same, "started") if same.state == "create_failed" else same
        if package is None:
            problem = work.problem or f"No sequence is left: its outbox, inbox or sessions know {work.top:08d}."
            book.fail(session, "create_failed", "view", problem)
            return
        if not session.manifest_sha256:
            session = book.package(session, package.manifest, work.content.sha256)
        package.session = session

    def upload(self, packages: Sequence[_Package]) -> None:
        """Uploads what is recorded, and records what came of it, unless a store's own answer was recorded before."""
        recorded = [package for package in packages if package.session]
        problems: dict[Line, str] = {}
        for done, package in enumerate(recorded, start=1):
            problems[package.work.line] = self._upload(package)
            self._places_answer()
            self.progress("uploads", done, len(recorded))
        if not recorded:
            return
        with recording(self.home, self.business_date, self.rules) as book:
            now = book.sessions(problems, [p.session.place for p in recorded if p.session])
            for package in recorded:
                session = next(s for s in now[package.work.line] if s.sequence == package.parcel.sequence)
                if session.state == "canceled":  # taken back while it was on its way
                    clear(self.outbox, *package.work.line, [session.sequence])
                if session.state == "started" and problems[package.work.line] == WAITS:
                    continue
                if session.state == "started" and (problem := problems[package.work.line]):
                    book.fail(session, "create_failed", "upload", problem)
                elif session.state == "started":
                    book.step(session, "available")
        self.moved |= book.moved

    def _upload(self, package: _Package) -> str:
        """Puts a package up, its manifest last; what fails is told and concerns this store alone."""
        content = package.manifest.to_bytes()
        folder = f"{package.manifest.database}/{package.manifest.job}/{package.manifest.sequence:08d}"
        try:
            for name, piece in package.parcel.files.items():
                self.outbox.upload(piece.read(), f"{folder}/{name}")
            if self.sign:
                self.outbox.upload(self.sign(content), f"{folder}/{MANIFEST}{SIGNATURE}")
            self.outbox.upload(content, f"{folder}/{MANIFEST}")
        except UnreachableError:  # the next run sends the same bytes, or newer ones
            return WAITS
        except OSError as error:
            return f"The upload failed: {error.strerror or error}."
        return ""


def _name_of(value: object) -> str | None:
    return value if isinstance(value, str) else None


def leave_out(engine: Engine, works: Sequence[Work]) -> None:
    """Registers the databases of one job that do not get it."""
    names = pa.array([work.database.name for work in works if work.excluded], pa.string())
    engine.register("distribution._left_out", pa.table({"database": names}))


def form_of(rules: Distribution, work: Work) -> str:
    """The format of a database's files."""
    return rules.formats.get(work.database.name) or rules.formats.get("default", "csv.gz")


def totals_of(work: Work, of_cards: Mapping[str, Any]) -> dict[str, Any]:
    """The control totals: rows by dataset, then what the datasets have counted besides."""
    rows = {dataset: work.content.datasets[dataset][0] for dataset in work.datasets}
    counted: dict[str, Any] = {} if work.excluded else dict(of_cards)
    counted["customers"] = rows.get("customers", 0)
    nothing: dict[str, Any] = {"cards": 0, "available": {}, "tiers": {}}
    return {"rows": rows, **{name: counted.get(name, nothing.get(name)) for name in total_names(work.datasets)}}


def clear(outbox: Transport, database: str, job: str, sequences: Collection[int] | None = None) -> None:
    """Takes a line's packages out of the outbox (default: all), their manifests first."""
    if not (is_plain(database) and is_plain(job)):
        return
    with suppress(OSError):
        for name in outbox.names(f"{database}/{job}"):
            if sequences is None or package_sequence(name) in sequences:
                outbox.remove(f"{database}/{job}/{name}/{MANIFEST}")
                outbox.remove(f"{database}/{job}/{name}")
        if sequences is None:
            outbox.remove(f"{database}/{job}")

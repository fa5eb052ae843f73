"""Sessions: what became of each package, kept step by step in the lake (spec 6-distribution).

They live outside the night's publication: a step is a fact once it is recorded. What is recorded is decided under the
lake's write lock and takes no longer than that; packages are made and sent without it.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime
from typing import Any

import pyarrow as pa

from kanta import night
from kanta.contracts import contract_of
from kanta.distribution import steps
from kanta.distribution.protocol import Acknowledgement, Manifest, Place, Totals, sha256
from kanta.home import Home
from kanta.programme.model import Distribution

#: What can follow each state; "" is the beginning.
NEXT: Mapping[str, frozenset[str]] = {
    "": frozenset({"started"}),
    "started": frozenset({"no_data", "available", "create_failed", "canceled"}),
    "create_failed": frozenset({"started", "suspended", "canceled"}),
    "suspended": frozenset({"started", "available", "canceled"}),
    "no_data": frozenset(),
    "applied": frozenset(),
    "canceled": frozenset(),
} | {
    state: frozenset({"requested", "downloaded", "applied", "download_failed", "apply_failed", "canceled"})
    | (frozenset({"suspended"}) if state.endswith("_failed") else frozenset())
    for state in ("available", "requested", "downloaded", "download_failed", "apply_failed")
}

FINAL = frozenset({"no_data", "applied", "canceled"})

FAILED = frozenset({"create_failed", "download_failed", "apply_failed"})

#: Why a session was canceled so that nothing before it can be built upon: the next package is full.
BREAKS = frozenset({"totals", "erased", "gone"})

#: Its package may not be up yet.
UNSENT = frozenset({"started", "create_failed"})

#: A database and a job: what sequences are counted by.
Line = tuple[str, str]


@dataclass(frozen=True)
class Session:
    """One session as it stands after ``steps`` steps; the last fields are its package's, empty without one.

    ``failures``: how often it failed since somebody last said to retry it.
    ``view_sha256``: hash of all rows the store is to hold after it (``StoreView.sha256``).
    """

    database: str
    job: str
    sequence: int
    state: str
    reason: str
    detail: str
    business_date: date
    data_group: str
    steps: int = 0
    failures: int = 0
    was_available: bool = False
    mode: str = ""
    manifest_sha256: str = ""
    view_sha256: str = ""
    rows: int = 0
    bytes: int = 0
    control_totals: str = ""

    @property
    def line(self) -> Line:
        return self.database, self.job

    @property
    def name(self) -> str:
        """For people; unlike a place it need not be one: no package may ever have been made."""
        return f"{self.database}/{self.job}/{self.sequence:08d}"

    @property
    def place(self) -> Place:
        return Place(database=self.database, job=self.job, sequence=self.sequence)

    @property
    def totals(self) -> Totals:
        """The control totals its store must find."""
        found: Totals = json.loads(self.control_totals)
        return found


@dataclass
class Heard:
    """What is believed of one line's acknowledgements so far.

    ``highest``: the last sequence believed; ``attempts``: by sequence, the last believed; ``beyond``: where a store
    said it stands when it refused a sequence as reused; ``base``: the sequence and hash it stands at by the last
    acknowledgement believed, 0 and "" before one.
    """

    highest: int = 0
    attempts: dict[int, int] = field(default_factory=dict)
    beyond: int = 0
    base: tuple[int, str] = (0, "")

    def believe(self, said: Acknowledgement) -> None:
        self.highest = max(self.highest, said.sequence)
        self.attempts[said.sequence] = said.attempt
        self.base = (said.applied_sequence, said.applied_manifest_sha256 or "")
        if said.reason == "reused":
            self.beyond = max(self.beyond, said.applied_sequence)


@dataclass(frozen=True)
class Package:
    """One package as it was recorded. ``seq``: ordinal of the lake's change that recorded it."""

    sequence: int
    manifest_sha256: str
    seq: int
    business_date: date


_STATES = """
select
    database, job, sequence, state, coalesce(reason, '') as reason, coalesce(detail, '') as detail, business_date,
    data_group, steps, failures, was_available
from distribution.session_states
"""

#: The sessions that may decide what comes next.
_THAT_MATTER = """
with

marked as (
    select
        database,
        job,
        max(sequence) as last,
        max(sequence) filter (where was_available) as last_available,
        max(sequence) filter (where reason in ('totals', 'erased', 'gone')) as last_broken
    from distribution._states
    group by database, job
)

select states.*
from distribution._states as states
inner join marked using (database, job)
where
    states.state not in ('no_data', 'applied', 'canceled')
    or states.sequence in (marked.last, marked.last_available, marked.last_broken)
"""

_SESSIONS = """
with

wanted as (
    select * from distribution._that_matter semi join distribution._lines using (database, job)
    union
    select * from distribution._states semi join distribution._also using (database, job, sequence)
)

select
    wanted.*, coalesce(packages.mode, ''), coalesce(packages.manifest_sha256, ''), coalesce(packages.view_sha256, ''),
    coalesce(packages.rows, 0), coalesce(packages.bytes, 0), coalesce(packages.control_totals, '')
from wanted
left join distribution.packages as packages using (database, job, sequence)
order by wanted.database, wanted.job, wanted.sequence
"""


@contextmanager
def recording(home: Home, business_date: date, rules: Distribution | None = None) -> Iterator[Book]:
    """The sessions' tables, under the lake's lock; what the block adds is kept together when it ends, or not at all.

    ``rules``: what the programme says of failures; its defaults without.
    """
    with night.stage(home, "distribution", business_date) as stage:
        book = Book(stage, business_date, rules or Distribution())
        yield book
        book.keep()


class Book:
    """The sessions' tables while the lake's lock is held. Use :func:`recording`."""

    def __init__(self, stage: night.Night, posted_date: date, rules: Distribution) -> None:
        self._stage, self._engine, self._rules = stage, stage.engine, rules
        self._common = {"posted_date": posted_date, "seq": stage.seq}
        self._added: dict[str, list[dict[str, Any]]] = defaultdict(list)
        # People want to know when; nothing is decided by it.
        self._now = datetime.now(UTC)
        self.moved: dict[tuple[str, str, int], Session] = {}
        self.doubted: list[str] = []
        self._heard: dict[Line, Heard] = {}
        self._ask((), "distribution._also")
        new = steps.attach(stage)
        stage.attach("distribution.session_states", "distribution.packages", "distribution.acknowledgements")
        stage.engine.define("distribution._states", _STATES)  # asked several times; packages only for those it gives
        stage.engine.define("distribution._that_matter", _THAT_MATTER)
        if new:
            steps.keep(stage, "distribution._that_matter")

    # ── reading ──────────────────────────────────────────────────────────────────────────────────────────────

    def sessions(self, lines: Iterable[Line], also: Iterable[Place] = ()) -> dict[Line, list[Session]]:
        """Each line's sessions that say what may come next, in order; and those of ``also``.

        They are those not final, the last one, the last one that ever was available, and the last that breaks.
        """
        found: dict[Line, list[Session]] = {line: [] for line in lines}
        self._ask(((*line, 0) for line in found), "distribution._lines")
        asked = {(place.database, place.job, place.sequence) for place in also}
        self._ask(sorted(asked), "distribution._also")
        known = "select count(*) from distribution._also semi join distribution._states using (database, job, sequence)"
        if asked - self.moved.keys() and int(self._engine.value(known)) < len(asked):
            # A store answers of a package that is long done with.
            steps.attach_all(self._stage)
            self._engine.define("distribution._states", _STATES)
        for session in (Session(*row) for row in self._engine.rows(_SESSIONS)):
            found[session.line].append(session)
        # What this block has moved is not kept yet, but it counts.
        moved: dict[Line, dict[int, Session]] = defaultdict(dict)
        for session in self.moved.values():
            moved[session.line][session.sequence] = session
        for line in found.keys() & moved.keys():
            by_sequence = {session.sequence: session for session in found[line]} | moved[line]
            found[line] = [by_sequence[sequence] for sequence in sorted(by_sequence)]
        return found

    def heard(self, lines: Iterable[Line]) -> dict[Line, Heard]:
        """What is believed of each line's acknowledgements, with what this block has come to believe.

        ``attempts`` are those of the sessions that :meth:`sessions` was last asked for by place.
        """
        wanted = list(lines)
        found = {line: Heard() for line in wanted if line not in self._heard}
        self._ask(((*line, 0) for line in found), "distribution._lines")
        rows = self._engine.rows(
            """
            select
                database, job, max(sequence),
                max(case when reason = 'reused' then applied_sequence else 0 end),
                max_by(applied_sequence, sequence * 4294967296 + attempt),
                max_by(coalesce(applied_manifest_sha256, ''), sequence * 4294967296 + attempt)
            from distribution.acknowledgements
            semi join distribution._lines using (database, job)
            where disbelief is null
            group by database, job
            """
        )
        for database, job, highest, beyond, *base in rows:
            found[database, job] = Heard(highest, {}, beyond, (base[0], base[1]))
        rows = self._engine.rows(
            """
            select database, job, sequence, max(attempt)
            from distribution.acknowledgements
            semi join distribution._also using (database, job, sequence)
            where disbelief is null
            group by database, job, sequence
            """
        )
        for database, job, sequence, attempt in rows:
            if (database, job) in found:
                found[database, job].attempts[sequence] = attempt
        self._heard |= found
        return {line: self._heard[line] for line in wanted}

    def packages(self, lines: Iterable[Line], business_date: date) -> dict[Line, list[Package]]:
        """Each line's packages of this night and later, and its last one, in order."""
        found: dict[Line, list[Package]] = {line: [] for line in lines}
        self._ask(((*line, 0) for line in found), "distribution._lines")
        rows = self._engine.rows(
            """
            select database, job, sequence, manifest_sha256, seq, business_date
            from distribution.packages
            where (database, job) in (select (database, job) from distribution._lines)
            qualify business_date >= $business_date or sequence = max(sequence) over (partition by database, job)
            order by database, job, sequence
            """,
            {"business_date": business_date},
        )
        for database, job, *package in rows:
            found[database, job].append(Package(*package))
        return found

    def oldest_mark(self, business_date: date) -> int:
        """The seq of the last package made before this night: what changed until then no kept package lacks."""
        query = "select coalesce(max(seq), 0) from distribution.packages where business_date < $business_date"
        return int(self._engine.value(query, {"business_date": business_date}))

    def gone(self, databases: Iterable[str]) -> list[Line]:
        """The lines of databases that are no longer there, unless they were closed."""
        self._ask(((name, "", 0) for name in databases), "distribution._known")
        return self._engine.rows(
            """
            select database, job
            from distribution._states
            where database not in (select database from distribution._known)
            group by database, job
            having coalesce(max_by(reason, sequence), '') <> 'gone'
            order by database, job
            """
        )

    def known_files(self, files: Iterable[tuple[Place, str]]) -> set[tuple[str, str, int, str]]:
        """Those acknowledgement files, by place and hash, that were recorded before."""
        rows = [{**place.model_dump(), "file_sha256": sha256_} for place, sha256_ in files]
        self._engine.register("distribution._files", pa.Table.from_pylist(rows))
        return set(
            self._engine.rows(
                """
                select known.database, known.job, known.sequence, known.file_sha256
                from distribution.acknowledgements as known
                semi join distribution._files as files
                    using (database, job, sequence, file_sha256)
                """
            )
        )

    def _ask(self, keys: Iterable[tuple[str, str, int]], name: str) -> None:
        schema = pa.schema({"database": pa.string(), "job": pa.string(), "sequence": pa.int64()})
        rows = [dict(zip(schema.names, key, strict=True)) for key in dict.fromkeys(keys)]
        self._engine.register(name, pa.Table.from_pylist(rows, schema))

    # ── adding ───────────────────────────────────────────────────────────────────────────────────────────────

    def begin(self, line: Line, sequence: int, business_date: date, data_group: str, detail: str = "") -> Session:
        """A new session, started."""
        session = Session(*line, sequence, "", "", "", business_date, data_group)
        return self.step(session, "started", detail=detail)

    def step(self, session: Session, state: str, reason: str = "", detail: str = "") -> Session:
        """Takes a session one step further; a step that NEXT does not know is a defect of the caller."""
        if state not in NEXT[session.state]:
            raise ValueError(f"{session.line} {session.sequence}: {session.state or 'nothing'} cannot become {state}")
        session = replace(
            session,
            state=state,
            reason=reason,
            detail=detail,
            steps=session.steps + 1,
            failures=0 if reason == "retry" else session.failures + (state in FAILED),
            was_available=session.was_available or state == "available",
        )
        self._added["sessions"].append(
            {
                "database": session.database,
                "job": session.job,
                "sequence": session.sequence,
                "step": session.steps,
                "state": state,
                "reason": reason or None,
                "detail": detail or None,
                "business_date": session.business_date,
                "data_group": session.data_group,
                "recorded_at": self._now,
                **self._common,
            }
        )
        self.moved[*session.line, session.sequence] = session
        return session

    def fail(self, session: Session, state: str, reason: str, detail: str) -> Session:
        """A failure; the last one that the programme's ``try_count`` allows ends or suspends the session."""
        session = self.step(session, state, reason, detail)
        if session.failures < self._rules.try_count:
            return session
        return self.step(session, "suspended" if self._rules.enforce_order else "canceled", "tries", detail)

    def package(self, session: Session, manifest: Manifest, view_sha256: str) -> Session:
        """Records a session's package before any of it is sent."""
        totals = json.dumps(manifest.control_totals)
        session = replace(
            session,
            mode=manifest.mode,
            manifest_sha256=sha256(manifest.to_bytes()),
            view_sha256=view_sha256,
            rows=sum(file.rows for file in manifest.datasets),
            bytes=sum(file.bytes for file in manifest.datasets),
            control_totals=totals,
        )
        self._added["packages"].append(
            {
                "database": session.database,
                "job": session.job,
                "sequence": session.sequence,
                "mode": session.mode,
                "base_sequence": manifest.base_sequence,
                "business_date": session.business_date,
                "manifest_sha256": session.manifest_sha256,
                "previous_manifest_sha256": manifest.previous_manifest_sha256,
                "view_sha256": view_sha256,
                "rows": session.rows,
                "deletes": sum(file.deletes for file in manifest.datasets),
                "bytes": session.bytes,
                "control_totals": totals,
                **self._common,
            }
        )
        self.moved[*session.line, session.sequence] = session
        return session

    def acknowledgement(
        self, place: Place, file_sha256: str, said: Acknowledgement | None, disbelief: str, *, misnamed: str = ""
    ) -> None:
        """Records what a file of the inbox says, and why it is not believed ("" for believed).

        ``misnamed``: the name of a file that says of no package, kept as the reason.
        """
        row: dict[str, Any] = {**place.model_dump(), "file_sha256": file_sha256, "disbelief": disbelief or None}
        for name in ("attempt", "status", "reason", "manifest_sha256", "applied_sequence", "applied_manifest_sha256"):
            row[name] = getattr(said, name, None)
        row["reason"] = misnamed or row["reason"]
        if disbelief:
            self.doubted.append(f"{place.database}/{place.job}/{misnamed or f'{place.sequence:08d}'}: {disbelief}")
        for name in ("rows", "control_totals"):
            row[name] = json.dumps(getattr(said, name)) if said else None
        self._added["acknowledgements"].append({**row, **self._common})

    def keep(self) -> None:
        """Commits what was added, each table at once."""
        for table, rows in self._added.items():
            contract = contract_of(f"distribution.{table}")
            columns = {name: [row[name] for row in rows] for name in contract.names}
            self._engine.register(f"distribution._new_{table}", pa.table(columns))
            self._stage.append(contract.name, f"select * from distribution._new_{table}")

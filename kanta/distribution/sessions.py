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
from kanta.distribution.protocol import Acknowledgement, Manifest, Place, Totals, sha256
from kanta.home import Home

#: What can follow each state; "" is the beginning. Suspension comes with the try count (issue 6).
NEXT: Mapping[str, frozenset[str]] = {
    "": frozenset({"started"}),
    "started": frozenset({"no_data", "available", "create_failed", "canceled"}),
    "create_failed": frozenset({"started", "canceled"}),
    "no_data": frozenset(),
    "applied": frozenset(),
    "canceled": frozenset(),
} | {
    state: frozenset({"requested", "downloaded", "applied", "download_failed", "apply_failed", "canceled"})
    for state in ("available", "requested", "downloaded", "download_failed", "apply_failed")
}

FINAL = frozenset({"no_data", "applied", "canceled"})

#: Its package may not be up yet.
UNSENT = frozenset({"started", "create_failed"})

#: A database and a job: what sequences are counted by.
Line = tuple[str, str]


@dataclass(frozen=True)
class Session:
    """One session as it stands after ``steps`` steps; the last fields are its package's, empty without one.

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
    said it stands when it refused a sequence as reused.
    """

    highest: int = 0
    attempts: dict[int, int] = field(default_factory=dict)
    beyond: int = 0

    def believe(self, said: Acknowledgement) -> None:
        self.highest = max(self.highest, said.sequence)
        self.attempts[said.sequence] = said.attempt
        if said.reason == "reused":
            self.beyond = max(self.beyond, said.applied_sequence)


@contextmanager
def recording(home: Home, business_date: date) -> Iterator[Book]:
    """The sessions' tables, under the lake's lock; what the block adds is kept together when it ends, or not at all."""
    with night.stage(home, "distribution", business_date) as stage:
        book = Book(stage, business_date)
        yield book
        book.keep()


class Book:
    """The sessions' tables while the lake's lock is held. Use :func:`recording`."""

    def __init__(self, stage: night.Night, posted_date: date) -> None:
        self._stage, self._engine = stage, stage.engine
        self._common = {"posted_date": posted_date, "seq": stage.seq}
        self._added: dict[str, list[dict[str, Any]]] = defaultdict(list)
        # People want to know when; nothing is decided by it.
        self._now = datetime.now(UTC)
        self.moved: dict[tuple[str, str, int], Session] = {}
        stage.attach("distribution.session_states", "distribution.acknowledgements")

    # ── reading ──────────────────────────────────────────────────────────────────────────────────────────────

    def sessions(self, lines: Iterable[Line], also: Iterable[Place] = ()) -> dict[Line, list[Session]]:
        """Each line's sessions that say what may come next, in order; and those of ``also``.

        They are those not final, the last one, and the last one that ever was available.
        """
        found: dict[Line, list[Session]] = {line: [] for line in lines}
        self._ask(((*line, 0) for line in found), "distribution._lines")
        self._ask(((place.database, place.job, place.sequence) for place in also), "distribution._also")
        rows = self._engine.rows(
            """
            select
                database, job, sequence, state, coalesce(reason, ''), coalesce(detail, ''), business_date, data_group,
                steps, was_available, coalesce(mode, ''), coalesce(manifest_sha256, ''), coalesce(view_sha256, ''),
                coalesce(rows, 0), coalesce(bytes, 0), coalesce(control_totals, '')
            from distribution.session_states
            where (database, job) in (select (database, job) from distribution._lines)
            qualify
                state not in ('no_data', 'applied', 'canceled')
                or (database, job, sequence) in (select (database, job, sequence) from distribution._also)
                or sequence = max(sequence) over (partition by database, job)
                or sequence = max(case when was_available then sequence end) over (partition by database, job)
            order by database, job, sequence
            """
        )
        for session in (Session(*row) for row in rows):
            found[session.line].append(session)
        return found

    def heard(self, lines: Iterable[Line]) -> dict[Line, Heard]:
        """What is believed of each line's acknowledgements."""
        found = {line: Heard() for line in lines}
        self._ask(((*line, 0) for line in found), "distribution._lines")
        rows = self._engine.rows(
            """
            select
                database, job, sequence, max(attempt),
                max(case when reason = 'reused' then applied_sequence else 0 end)
            from distribution.acknowledgements
            where disbelief is null and (database, job) in (select (database, job) from distribution._lines)
            group by database, job, sequence
            """
        )
        for database, job, sequence, attempt, beyond in rows:
            heard = found[database, job]
            heard.attempts[sequence] = attempt
            heard.highest, heard.beyond = max(heard.highest, sequence), max(heard.beyond, beyond)
        return found

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
        rows = [dict(zip(schema.names, key, strict=True)) for key in keys]
        self._engine.register(name, pa.Table.from_pylist(rows, schema))

    # ── adding ───────────────────────────────────────────────────────────────────────────────────────────────

    def begin(self, line: Line, sequence: int, business_date: date, data_group: str) -> Session:
        """A new session, started."""
        session = Session(*line, sequence, "", "", "", business_date, data_group)
        return self.step(session, "started")

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

    def acknowledgement(self, place: Place, file_sha256: str, said: Acknowledgement | None, disbelief: str) -> None:
        """Records what a file of the inbox says, and why it is not believed ("" for believed)."""
        row: dict[str, Any] = {**place.model_dump(), "file_sha256": file_sha256, "disbelief": disbelief or None}
        for name in ("attempt", "status", "reason", "manifest_sha256", "applied_sequence", "applied_manifest_sha256"):
            row[name] = getattr(said, name, None)
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

"""Acknowledgements: what is read from the inbox, what of it is believed, and what that moves (spec 6-distribution)."""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from kanta.distribution import keys, transport
from kanta.distribution.protocol import SIGNATURE, Acknowledgement, Place, acknowledged_sequence, is_plain, sha256
from kanta.distribution.sessions import FAILED, FINAL, UNSENT, Book, Heard, Session
from kanta.foreign import json_text
from kanta.programme.model import DatabaseKeys, Distribution

#: An acknowledgement is not read any further.
MOST_BYTES = 1024 * 1024

#: So many files of one database and job that are not named as acknowledgements are reported.
MOST_MISNAMED = 20
_STRANGE = re.compile(r"[^A-Za-z0-9_.-]")

#: What cannot be mended by trying again; such a package is replaced at once.
HOPELESS = frozenset({"gap", "reused", "totals"})


@dataclass(frozen=True)
class Answer:
    """One acknowledgement file: where it lies, its hash, what it says; None when it is none.

    ``signed``: whether it has the signature that its database's acknowledgements must have, if they must; ``there``:
    whether it could be read at all. ``misnamed``: its name when it is no acknowledgement's, and it was not read.
    """

    place: Place
    file_sha256: str
    said: Acknowledgement | None
    signed: bool = True
    there: bool = True
    misnamed: str = ""

    @property
    def order(self) -> tuple[str, str, int, int]:
        """Within a database and job by sequence, then attempt."""
        return self.place.database, self.place.job, self.place.sequence, self.said.attempt if self.said else 0


class Inbox:
    """The acknowledgements in a place, without those that were taken in before.

    What was taken in is known by each file's size and time (``lake/sent/answers.<group>.parquet``), so that a night
    reads tonight's answers and not those of all nights that are kept. Losing that file costs reading them once more;
    one that is ahead of the lake's changes (``mark``) is of a lake that is no more, and counts as lost.
    """

    def __init__(self, place: transport.Transport, rules: Distribution, file: Path, mark: int) -> None:
        self._place, self._rules, self._file, self._mark = place, rules, file, mark
        self._before = self._known()
        self._found: dict[str, str] = {}

    def read(self, databases: Collection[str] | None = None) -> list[Answer]:
        """The acknowledgements that are new or were changed; ``databases``: only theirs (default: all)."""
        return list(self._read(databases))

    def taken_in(self, mark: int) -> None:
        """What was read is recorded, so it need not be read again. ``mark``: the lake's last change."""
        if self._found == self._before and mark == self._mark:
            return
        table = pa.table({"path": pa.array(self._found, pa.string()), "stamp": pa.array(self._found.values())})
        part = self._file.with_name(f"{self._file.name}.{os.getpid()}.part")
        part.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(table.replace_schema_metadata({"kanta.mark": str(mark)}), part)
        part.replace(self._file)

    def _known(self) -> dict[str, str]:
        try:
            table = pq.read_table(self._file)
            if int(table.schema.metadata[b"kanta.mark"]) > self._mark:
                return {}
            return dict(zip(table["path"].to_pylist(), table["stamp"].to_pylist(), strict=True))
        except (OSError, KeyError, TypeError, ValueError):
            return {}

    def _read(self, databases: Collection[str] | None) -> Iterator[Answer]:
        for database in sorted(filter(is_plain, databases if databases is not None else self._names(""))):
            found = self._rules.keys.get(database)
            verify = found.verify if isinstance(found, DatabaseKeys) else ()
            for job in filter(is_plain, self._names(database)):
                stamps = self._stamps(f"{database}/{job}")
                for name, stamp in stamps.items():
                    if sequence := acknowledged_sequence(name):
                        place = Place(database=database, job=job, sequence=sequence)
                        whole = f"{stamp} {stamps.get(name + SIGNATURE, '')}".strip()
                        if self._before.get(place.acknowledgement) != whole:
                            answer = _answer(self._place, place, verify)
                            yield answer
                            if not answer.there:
                                continue
                        self._found[place.acknowledgement] = whole
                yield from self._misnamed(database, job, stamps)

    def _misnamed(self, database: str, job: str, stamps: Mapping[str, str]) -> Iterator[Answer]:
        """Files whose names say of no package; each is reported once, and few, as anybody can make any number."""
        strange = [name for name in stamps if not (_is_passed_over(name) or acknowledged_sequence(name))]
        for name in strange[:MOST_MISNAMED]:
            path = f"{database}/{job}/{name}"
            if self._before.get(path) != stamps[name]:
                place = Place.model_construct(database=database, job=job, sequence=0)
                yield Answer(place, sha256(os.fsencode(name)), None, misnamed=name)
            self._found[path] = stamps[name]

    def _names(self, path: str) -> list[str]:
        try:
            return self._place.names(path)
        except OSError:  # a store's folder that cannot be listed says nothing; the others' do
            return []

    def _stamps(self, path: str) -> dict[str, str]:
        try:
            return self._place.stamps(path)
        except OSError:
            return {}


def _is_passed_over(name: str) -> bool:
    """Whether a name in an inbox is meant for nobody: what is not whole yet, what is hidden, a signature."""
    return name.startswith(".") or name.endswith((".part", SIGNATURE))


def take_in(book: Book, answers: list[Answer]) -> None:
    """Records what stores answered since the last time, and moves their sessions.

    A file that cannot be believed is recorded with the reason and changes nothing.
    """
    if not answers:
        return
    known = book.known_files((answer.place, answer.file_sha256) for answer in answers)
    fresh = [a for a in answers if (a.place.database, a.place.job, a.place.sequence, a.file_sha256) not in known]
    lines = sorted({(answer.place.database, answer.place.job) for answer in fresh})
    if not lines:
        return
    sessions = book.sessions(lines, (answer.place for answer in fresh))
    heard = book.heard(lines)
    for line, answered in groupby(sorted(fresh, key=lambda a: a.order), key=lambda a: a.order[:2]):
        _take_in(book, heard[line], {session.sequence: session for session in sessions[line]}, list(answered))


def _answer(inbox: transport.Transport, place: Place, verify: Collection[str]) -> Answer:
    try:
        content = inbox.read(place.acknowledgement, MOST_BYTES) or b""
        signature = inbox.read(place.acknowledgement + SIGNATURE, MOST_BYTES) if verify else None
    except OSError as error:
        return Answer(place, sha256(str(error).encode()), None, there=False)
    signed = not verify or keys.is_signed(content, signature, verify)
    file_sha256 = sha256(content + (signature or b""))
    try:
        return Answer(place, file_sha256, Acknowledgement.model_validate_json(json_text(content)), signed)
    except ValueError:  # no text, no JSON, or none that says what an acknowledgement must
        return Answer(place, file_sha256, None)


def _take_in(book: Book, heard: Heard, sessions: dict[int, Session], answers: list[Answer]) -> None:
    """One database's and job's new answers, in order."""
    for answer in answers:
        session = sessions.get(answer.place.sequence)
        doubt = disbelief(answer, session, heard)
        shown = _STRANGE.sub("?", answer.misnamed)[:100]
        book.acknowledgement(answer.place, answer.file_sha256, answer.said, doubt, misnamed=shown)
        if doubt or answer.said is None or session is None:
            continue
        heard.believe(answer.said)
        for moved in _moved(book, session, answer.said, sessions):
            sessions[moved.sequence] = moved


def disbelief(answer: Answer, session: Session | None, heard: Heard) -> str:
    """Why an acknowledgement is only reported, as one word; "" when it is believed.

    Spec 6-distribution, "Believed": path = content, signed if ``verify``, sequence and hash
    recorded (bad_manifest: any hash), attempt new, no higher sequence believed, totals equal if applied.
    """
    said = answer.said
    if answer.misnamed:
        return "name"
    if said is None:
        return "unreadable"
    if not answer.signed:
        return "unsigned"
    if Place(database=said.database, job=said.job, sequence=said.sequence) != answer.place:
        return "place"
    if session is None or not session.manifest_sha256:
        return "unknown"
    broken = session.was_available and (said.status, said.reason) == ("download_failed", "bad_manifest")
    if said.manifest_sha256 != session.manifest_sha256 and not broken:
        return "hash"
    if said.attempt <= heard.attempts.get(said.sequence, 0):
        return "attempt"
    if said.sequence < heard.highest:
        return "older"
    if said.status == "applied":
        stands = (said.applied_sequence, said.applied_manifest_sha256)
        if stands[0] < said.sequence or (stands[0] == said.sequence and stands[1] != said.manifest_sha256):
            return "position"
        if said.control_totals != session.totals:
            return "totals"
    return ""


def _moved(book: Book, session: Session, said: Acknowledgement, sessions: dict[int, Session]) -> Iterator[Session]:
    """The steps that a believed acknowledgement takes its session, and those it makes needless."""
    if session.state in FINAL:
        return
    if session.state == "suspended" and said.status != "applied" and said.reason not in HOPELESS:
        return  # a person has to say retry; that it failed once more is nothing new
    if session.state in UNSENT or (session.state == "suspended" and said.status == "applied"):
        # The store has seen its manifest, so it is up, whatever the run that sent it lived to record.
        session = book.step(session, "started") if session.state == "create_failed" else session
        session = book.step(session, "available")
    reason, detail = said.reason or "", f"attempt {said.attempt}"
    if said.reason in HOPELESS:
        session = session if session.state == "suspended" else book.step(session, said.status, reason, detail)
        session = book.step(session, "canceled", reason)
    elif said.status in FAILED:
        session = book.fail(session, said.status, reason, detail)
    else:
        session = book.step(session, said.status, reason, detail)
    yield session
    if said.status == "applied":
        for older in sessions.values():
            if older.sequence < said.sequence and older.state not in FINAL:
                yield book.step(older, "canceled", "superseded", f"{said.sequence:08d} is applied")

"""Distribution: what each store is to hold goes out as packages, and what it answers is taken in (spec 6-distribution).

A night, for each database and job: acknowledgements are taken in (``inbox``); the view V(n) is worked out (``view``)
and compared with what was last sent (``held``); ``planning`` decides; ``packing`` writes files, ``formats`` says how;
the package is recorded with its hash (``sessions``) and uploaded (``transport``), its manifest last. ``sending`` is
the order of all that. ``protocol`` is what head office and a store agree on; ``kanta.store`` is the store's side.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import date
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from kanta.distribution import inbox, sending, transport, view
from kanta.distribution.protocol import Place
from kanta.distribution.proving import prove
from kanta.distribution.sending import Asked, Progress, send
from kanta.distribution.sessions import FINAL, Session, recording
from kanta.engine import Engine, file_literal
from kanta.errors import BadArguments, KantaError
from kanta.home import Home
from kanta.lake import Lake
from kanta.night import Night
from kanta.reading import as_table

__all__ = [
    "Session", "acknowledge", "cancel", "erased", "full_sync", "groups", "prove", "retry", "run", "send", "status",
    "table",
]  # fmt: skip


def groups(home: Home, business_date: date) -> list[str]:
    """The data groups that have databases on the opening day and an active schedule, by name.

    :func:`send` serves them one by one. Raises KantaError when the night of ``business_date`` is not published yet.
    """
    with TemporaryDirectory() as folder, view.published(home, business_date, None, Path(folder)) as published:
        found = {database.data_group for database in published.databases()}
        return sorted(group for group in found if sending.jobs_of(published.rules, group))


def run(
    home: Home, business_date: date, progress: Progress | None = None, data_group: str | None = None
) -> dict[str, Any]:
    """:func:`send`, told in numbers; ``failed``: the names of the databases that failed; ``doubted``: the files of the
    inbox that are not believed, and the reason of each.

    ``unreachable``: the place that does not answer, and why; ``waiting``: how many packages wait for it.
    """
    said: dict[str, list[str]] = {}
    sessions = send(home, business_date, data_group, progress, said=said)
    sent = [session for session in sessions if session.state == "available"]
    failed = {session.database for session in sessions if session.state.endswith("_failed")}
    failed |= {session.database for session in sessions if session.state == "suspended"}
    return {
        "packages": len(sent),
        "bytes": sum(session.bytes for session in sent),
        "no_data": sum(session.state == "no_data" for session in sessions),
        "applied": sum(session.state == "applied" for session in sessions),
        "failed": sorted(failed),
        "doubted": said["doubted"],
    } | (
        {"waiting": sum(s.state == "started" for s in sessions), "unreachable": said["unreachable"][0]}
        if said["unreachable"]
        else {}
    )


def acknowledge(home: Home, business_date: date, databases: Collection[str] | None = None) -> list[Session]:
    """Takes in what stores answered since the last time; returns the sessions that moved.

    ``business_date``: the night that records it; ``databases``: only theirs (default: all of the inbox). A file that
    cannot be believed is recorded with the reason and changes nothing.
    """
    rules = view.rules(home)
    box = sending.answers_of(home, rules, None)
    answers = box.read(databases)
    if not answers:
        return []
    with recording(home, business_date, rules) as book:
        inbox.take_in(book, answers)
    if databases is None:
        box.taken_in(sending.next_mark(home) - 1)
    return [book.moved[key] for key in sorted(book.moved)]


# ── by hand ──────────────────────────────────────────────────────────────────────────────────────────────────────


def retry(home: Home, database: str, job: str | None = None) -> list[Session]:
    """Lets what was suspended go on, counting failures anew, and sends again what failed or was canceled.

    Returns the sessions that moved. Raises BadArguments for a database nobody knows.
    """
    day, group, jobs = _of(home, database, job)
    rules = view.rules(home)
    lines = [(database, name) for name in jobs]
    with recording(home, day, rules) as book:
        sessions = book.sessions(lines)
        again = set()
        for (_, name), of_line in sessions.items():
            for session in of_line:
                if session.state == "suspended":
                    book.step(session, "available" if session.was_available else "started", "retry")
            last = next((session for session in reversed(of_line) if session.state != "no_data"), None)
            if last is not None and last.state == "canceled":
                again.add(name)
    asked = Asked(frozenset({database}), frozenset(again)) if again else None
    moved = book.moved | {(*s.line, s.sequence): s for s in send(home, day, group, asked=asked)}
    return [moved[key] for key in sorted(moved)]


def full_sync(home: Home, database: str, job: str | None = None) -> list[Session]:
    """Sends a database everything it is to hold, whatever it has; returns the sessions that moved.

    Raises BadArguments for a database nobody knows.
    """
    day, group, _ = _of(home, database, job)
    return send(home, day, group, asked=Asked(frozenset({database}), frozenset({job} if job else ()), full=True))


def cancel(home: Home, database: str, job: str, sequence: int) -> list[Session]:
    """Ends a session that is not final and takes its package out of the outbox; the next package does without it.

    Raises KantaError when there is no such session, or it is final.
    """
    line = (database, job)
    with recording(home, Lake(home).published().night) as book:
        meant = Place.model_construct(database=database, job=job, sequence=sequence)
        session = next((s for s in book.sessions([line], [meant])[line] if s.sequence == sequence), None)
        if session is None or session.state in FINAL:
            raise KantaError(
                f"Session {database}/{job}/{sequence:08d} {'is ' + session.state if session else 'is not known'}"
                ", so there is nothing to cancel",
                where="distribution.sessions",
                next_step=f"kanta distribution status --database {database}",
            )
        session = book.step(session, "canceled", "cancel")
    sending.clear(transport.outbox(home), database, job, [sequence])
    return [session]


def erased(home: Home, accounts: Collection[str], refused: list[str]) -> list[Session]:
    """Takes every package that may hold these customers out of the outbox; the next one of its line is full.

    Call it once the lake has blanked them (spec 3-customers, rule 10). A package holds a customer if its database
    was ever sent one of them and it has not been taken. Returns the sessions that ended; a place that cannot be
    looked into is added to ``refused``, its packages count as there.
    """
    rules, day = view.rules(home), Lake(home).published().night
    outbox = transport.outbox(home)
    jobs = [job for job, datasets in rules.jobs.items() if "customers" in datasets]
    with sending.alone(home, None):  # what others are about to send may hold them, too
        lines = [
            (name, job)
            for job in jobs
            for name in _sent(home, job, accounts)
            if _lies_in(outbox, f"{name}/{job}", refused)
        ]
        with recording(home, day, rules) as book:
            for line, sessions in book.sessions(lines).items():
                if not sessions:
                    continue
                last = sessions[-1]
                begun = book.begin(line, last.sequence + 1, max(day, last.business_date), last.data_group)
                for session in (*sessions, begun):
                    if session.state not in FINAL:
                        book.step(session, "canceled", "erased")
        for line in lines:
            sending.clear(outbox, *line)
    return [book.moved[key] for key in sorted(book.moved)]


def _lies_in(outbox: transport.Transport, path: str, refused: list[str]) -> bool:
    try:
        return bool(outbox.names(path))
    except transport.UnreachableError as error:
        if (told := f"outbox: {error}") not in refused:
            refused.append(told)
    except OSError as error:
        refused.append(f"outbox/{path}: {error.strerror or error}")
    return True


def _sent(home: Home, job: str, accounts: Collection[str]) -> list[str]:
    """The databases that were ever sent one of these customers, as far as it is known."""
    files = sorted((home.lake / "sent" / job).glob("[!.]*/customers.parquet"))  # none half-written
    if not files or not accounts:
        return []
    with TemporaryDirectory() as folder, Engine(Path(folder)) as engine:
        listed = ", ".join(map(file_literal, files))
        query = f"select distinct database from read_parquet([{listed}]) where list_contains($accounts, customer_id)"
        return sorted(name for (name,) in engine.rows(query, {"accounts": list(accounts)}))


def _of(home: Home, database: str, job: str | None) -> tuple[date, str, list[str]]:
    """The published night, a database's data group, and the jobs meant."""
    day = Lake(home).published().night
    with TemporaryDirectory() as folder, view.published(home, day, None, Path(folder)) as published:
        found = {each.name: each.data_group for each in published.databases()}
        jobs = list(published.rules.jobs)
    if database not in found:
        known = ", ".join(sorted(found)[:10])
        raise BadArguments(f"There is no store database {database}", where="channels", next_step=f"one of {known}")
    if job is not None and job not in jobs:
        raise BadArguments(f"There is no job {job}", where="distribution.jobs", next_step=f"one of {', '.join(jobs)}")
    return day, found[database], [job] if job else jobs


# ── looking at it ────────────────────────────────────────────────────────────────────────────────────────────────


def status(home: Home, database: str | None = None) -> list[dict[str, Any]]:
    """Where each database stands with each job: its last session, what it applied last, and what waits.

    ``waiting``: sessions that are not final: packages to be uploaded, up, failed or suspended;
    ``unacknowledged_since``: the night of the oldest of them.
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
                min(business_date) filter (where state not in ('applied', 'no_data', 'canceled'))
                    as unacknowledged_since,
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

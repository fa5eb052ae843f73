"""``kanta distribution prove``: does each store hold what the lake says, by whatever packages (invariant 9).

For each database and job, the reference receiver itself is given a full package of tonight, and, beside it, a full
package of the night its store stands at with the delta that follows; both must then hold, to the row, what the lake
says. Nothing is sent and nothing recorded.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import date
from pathlib import Path
from typing import Any

from kanta.contracts import Contract
from kanta.distribution import held, packing, sending, transport, view
from kanta.distribution.packing import FULL, Parcel, Staging
from kanta.distribution.planning import Work, base_of
from kanta.distribution.protocol import MANIFEST, SCHEMA_VERSION, Manifest, Place, contract, is_plain, sha256
from kanta.distribution.sessions import Package, recording
from kanta.distribution.view import Published
from kanta.engine import literal
from kanta.errors import BadArguments, KantaError
from kanta.home import Home
from kanta.lake import Lake

#: So many differing keys are shown of each dataset.
SHOWN = 5


@dataclass(frozen=True)
class Proved:
    """One database and job: how many rows differ from the lake, of a full package and of base and delta.

    ``base_sequence``: where its store stands, 0 when that is not known; ``examples``: the first differing keys;
    ``note``: what could not be proved, and why.
    """

    database: str
    job: str
    base_sequence: int
    full: int
    chain: int
    examples: tuple[str, ...] = ()
    note: str = ""

    @property
    def differences(self) -> int:
        return self.full + self.chain

    def as_dict(self) -> dict[str, Any]:
        return {**asdict(self), "differences": self.differences}

    def line(self) -> str:
        """For people."""
        chain = f"from {self.base_sequence:08d} by delta: {self.chain} differ" if not self.note else self.note
        shown = "".join(f"\n        {example}" for example in self.examples)
        state = "FAIL" if self.differences else "ok  "
        return f"{state}  {self.database}/{self.job}  full: {self.full} differ; {chain}{shown}"


def prove(home: Home, database: str | None = None) -> list[Proved]:
    """Proves every database's jobs (or one database's), as of the newest publication; by database and job.

    Raises BadArguments for a database that is sent nothing: nothing would be proved.
    """
    day = Lake(home).published().night
    with sending.alone(home, None) as workspace, view.published(home, day, None, workspace) as published:
        works = _works(home, published, database)
        if database is not None and not works:
            raise BadArguments(
                f"There is no store database {database} that is sent anything",
                where="channels",
                next_step="kanta distribution status",
            )
        found = []
        for job, of_job in works.items():
            folder = workspace / job
            _full(published, of_job, folder / "now")
            bases = {work.line: base for work in of_job if (base := base_of(work))}
            known = _before(home, of_job, bases, folder)
            _deltas(home, published, [work for work in of_job if work.line in known], folder)
            for work in of_job:
                found.append(_prove(published, work, bases.get(work.line), known.get(work.line, ""), folder))
    return sorted(found, key=lambda proved: (proved.database, proved.job))


def _works(home: Home, published: Published, only: str | None) -> dict[str, list[Work]]:
    """The lines to prove by job, with where their stores stand; the rows of all jobs are worked out."""
    rules, works = published.rules, dict[str, list[Work]]()
    for database in published.databases():
        if only in (None, database.name) and is_plain(database.name):
            for job in sending.jobs_of(rules, database.data_group):
                work = Work(database, job, tuple(rules.jobs[job]))
                work.excluded = database.offline and job in rules.exclude_from_offline
                works.setdefault(job, []).append(work)
    lines = [work.line for of_job in works.values() for work in of_job]
    with recording(home, published.business_date, rules) as book:
        heard = book.heard(lines)
        packages = book.packages(lines, sending.kept_from(rules, published.business_date))
        for of_job in works.values():
            for work in of_job:
                work.heard, work.packages = heard[work.line], packages[work.line]
    view.work_out(published.engine, [dataset for job in works for dataset in rules.jobs[job]])
    return works


def _full(published: Published, works: Sequence[Work], folder: Path) -> None:
    _update(published, works, folder / "sent", 1)
    _pack(published, works, dict.fromkeys((work.line for work in works), FULL), folder)


def _update(published: Published, works: Sequence[Work], root: Path, mark: int) -> None:
    sending.leave_out(published.engine, works)
    told = [held.Told(work.database.name, "", 0) for work in works]
    contents = held.update(published.engine, root, "all", works[0].datasets, told, lambda: mark, 0)
    for work in works:
        work.content = contents[work.database.name]


def _before(
    home: Home, works: Sequence[Work], bases: Mapping[tuple[str, str], Package], folder: Path
) -> dict[tuple[str, str], str]:
    """Makes full packages of the nights the stores stand at; gives the lines whose night could be made, each with
    the hash of its view."""
    known = {}
    for day in sorted({base.business_date for base in bases.values()}):
        those = [work for work in works if work.line in bases and bases[work.line].business_date == day]
        with _as_of(home, day, folder / "work") as published:
            if published is None:
                continue
            there = {database.name for database in published.databases()}
            those = [work for work in those if work.database.name in there]
            if not those:
                continue
            view.work_out(published.engine, those[0].datasets)
            now = {work.line: work.content for work in those}
            _full(published, those, folder / "before")
            for work in those:
                known[work.line], work.content = work.content.sha256, now[work.line]
    return known


@contextmanager
def _as_of(home: Home, day: date, workspace: Path) -> Iterator[Published | None]:
    """What was published for a night; None when that is no longer kept."""
    lake = Lake(home)
    kept = [state for path in lake.publications() if (state := lake.state_of(path)).business_date == day]
    workspace.mkdir(parents=True, exist_ok=True)
    if not kept:
        yield None
        return
    with view.published(home, day, None, workspace, as_of=day) as published:
        yield published


def _deltas(home: Home, published: Published, works: Sequence[Work], folder: Path) -> None:
    """Makes the delta of each line from the row versions that are kept, on a copy of them."""
    if not works:
        return
    root = folder / "sent"
    source = home.lake / "sent" / works[0].job
    if source.is_dir():
        shutil.copytree(source, root, copy_function=os.link, ignore=shutil.ignore_patterns(".*"))
    with recording(home, published.business_date, published.rules) as book:
        sessions = book.sessions([work.line for work in works])
    sending.leave_out(published.engine, works)
    told = [
        held.Told(
            work.database.name,
            held.layout_of(work.datasets, sending.form_of(published.rules, work)),
            sessions[work.line][-1].sequence if sessions[work.line] else 0,
        )
        for work in works
    ]
    contents = held.update(published.engine, root, "prove", works[0].datasets, told, lambda: sending.next_mark(home), 0)
    since = {}
    for work in works:
        base = base_of(work)
        if base and base.seq >= contents[work.database.name].since:
            since[work.line] = base.seq
    _pack(published, [work for work in works if work.line in since], since, folder / "delta")


def _pack(published: Published, works: Sequence[Work], since: Mapping[tuple[str, str], int], folder: Path) -> None:
    """Writes a package of each line below ``folder``, as sequence 1 or, of a delta, 2 on 1."""
    parcels = [
        Parcel(
            database=work.database.name,
            job=work.job,
            sequence=1 if since[work.line] == FULL else 2,
            business_date=published.business_date,
            form=sending.form_of(published.rules, work),
            since=since[work.line],
            datasets=work.datasets,
            empty=work.excluded,
        )
        for work in works
    ]
    if parcels:
        # Stores may stand at several nights: each has a place of its own.
        folder.mkdir(parents=True, exist_ok=True)
        with Staging(folder / f"staging.{published.business_date}") as staging:
            packing.pack(published.engine, parcels, staging)
    if problems := [parcel for parcel in parcels if parcel.problem]:
        broken = f"{problems[0].database}/{problems[0].job}"
        raise KantaError(problems[0].problem, where=broken, next_step="mend the cause, then prove again")
    totals = view.card_totals(published.engine) if parcels and "cards" in parcels[0].datasets else {}
    for work, parcel in zip(works, parcels, strict=True):
        place = Place(database=work.database.name, job=work.job, sequence=parcel.sequence)
        outbox = transport.Folders(folder / "outbox")
        first = folder.parent / "before" / "outbox" / place.database / place.job / "00000001" / MANIFEST
        delta = parcel.since != FULL
        manifest = Manifest(
            schema_version=SCHEMA_VERSION,
            **place.model_dump(),
            mode="delta" if delta else "full",
            base_sequence=1 if delta else 0,
            applies_to={"1": sha256(first.read_bytes())} if delta else {},
            previous_manifest_sha256=None,
            business_date=published.business_date.isoformat(),
            datasets=tuple(parcel.entries.values()),
            control_totals=sending.totals_of(work, totals.get(work.database.name, {})),
        )
        for name, piece in parcel.files.items():
            outbox.upload(piece.read(), f"{place.package}/{name}")
        outbox.upload(manifest.to_bytes(), f"{place.package}/{MANIFEST}")


def _prove(published: Published, work: Work, base: Package | None, view_sha256: str, folder: Path) -> Proved:
    """Applies what was made, and compares."""
    name = work.database.name
    full, of_full = _held(published, work, folder, ["now"])
    if base is None:
        return Proved(name, work.job, 0, full, 0, of_full, "where its store stands is not known")
    if not view_sha256:
        return Proved(name, work.job, base.sequence, full, 0, of_full, f"the night of {base.business_date} is not kept")
    if not (folder / "delta" / "outbox" / name / work.job).is_dir():
        return Proved(name, work.job, base.sequence, full, 0, of_full, "its next package is full")
    chain, of_chain = _held(published, work, folder, ["before", "delta"])
    return Proved(name, work.job, base.sequence, full, chain, (*of_full, *of_chain))


def _held(published: Published, work: Work, folder: Path, packages: Sequence[str]) -> tuple[int, tuple[str, ...]]:
    """How many rows differ between the lake and a receiver that was given these packages."""
    from kanta import store

    file = folder / f"{packages[-1]}.{work.database.name}.duckdb"
    for package in packages:
        outbox = folder / package / "outbox" / work.database.name / work.job
        for result in store.apply([outbox], file, folder / "inbox"):
            if result.failed:
                return 1, (result.line(),)
    engine, count, shown = published.engine, 0, list[str]()
    engine.con.execute(f"attach {literal(str(file))} as receiver (read_only)")
    try:
        for dataset in work.datasets:
            differing = engine.rows(_DIFFERING.format(**_names(published, work, contract(dataset))))
            count += len(differing)
            shown += [f"{dataset} {', '.join(map(str, key))}" for key in differing[:SHOWN]]
    finally:
        engine.con.execute("detach receiver")
        file.unlink()
    return count, tuple(shown)


_DIFFERING = """
select distinct {key}
from (
    (select {columns} from ({lake}) except select {columns} from receiver.main.{table})
    union all
    (select {columns} from receiver.main.{table} except select {columns} from ({lake}))
)
order by {key}
"""


def _names(published: Published, work: Work, of: Contract) -> dict[str, str]:
    texts = {column.name for column in of.columns if column.key and column.type == "VARCHAR"}
    values = ", ".join(
        f"{'coalesce' if c.name in texts else 'nullif'}({c.name}, '') as {c.name}"
        if c.type == "VARCHAR"
        else f"cast({c.name} as {c.type}) as {c.name}"
        for c in of.columns
    )
    where = "" if view.is_shared(of.dataset) else f" where database = {literal(work.database.name)}"
    where = " where false" if work.excluded else where
    return {
        "key": ", ".join(of.key),
        "columns": ", ".join(of.names),
        "table": of.dataset,
        "lake": f"select {values} from distribution._{of.dataset}{where}",
    }


def text(found: Sequence[Proved]) -> str:
    """What was proved, for people."""
    wrong = sum(bool(proved.differences) for proved in found)
    lines = [proved.line() for proved in found]
    lines.append(f"{len(found)} databases and jobs, {wrong} differ.")
    if wrong:
        lines.append("next: kanta distribution full-sync DATABASE brings a store to what the lake says.")
    return "\n".join(lines)

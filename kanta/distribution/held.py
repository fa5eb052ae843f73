"""What stores were last sent: each row's key, a fingerprint, and since when it is so or gone (row versions).

A delta is what changed after its base, so one comparison of tonight's view with the last one serves every database,
whatever each of them stands at. Kept are Parquet files below ``lake/sent/<job>/``, one folder for each data group and
one for what all databases share; they hold no values, only keys. Losing them costs a full package, nothing else.

``mark`` is an ordinal of the lake's changes (``seq``): a row that differs from the last view gets tonight's, which is
higher than that of any package recorded before and no higher than that of tonight's packages.
"""

from __future__ import annotations

import fcntl
import json
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from hashlib import sha256
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from kanta import checksums
from kanta.contracts import Contract
from kanta.distribution.formats import text_of
from kanta.distribution.protocol import canonical_json, contract
from kanta.distribution.view import is_shared
from kanta.engine import Engine, file_literal, literal

_LINES = "lines.parquet"

#: The database of what all databases share.
SHARED = ""


@dataclass
class Content:
    """What one database is to hold of a job: rows and sum of fingerprints of each dataset.

    ``since``: the oldest mark from which on every change is known, so the oldest that a delta can start from.
    """

    datasets: dict[str, tuple[int, int]] = field(default_factory=dict)
    since: int = 0

    @property
    def sha256(self) -> str:
        """Hash of all rows: two views of one hash are the same view."""
        return sha256(canonical_json(sorted((name, *found) for name, found in self.datasets.items()))).hexdigest()


@dataclass(frozen=True)
class Told:
    """A database to compare. ``layout``: what makes an earlier package no base any more when it changes (format,
    columns); ``highest``: its highest session, by which a state older than the sessions is seen."""

    database: str
    layout: str
    highest: int


@dataclass(frozen=True)
class _Line:
    """One database in a kept folder."""

    folder: Path
    mark: int
    since: int
    layout: str
    highest: int


def update(
    engine: Engine,
    root: Path,
    group: str,
    datasets: Sequence[str],
    told: Sequence[Told],
    mark: Callable[[], int],
    purge: int,
) -> dict[str, Content]:
    """Compares tonight's rows of a job with those last sent and keeps the outcome; gives each database's content.

    Afterwards ``sent.<dataset>`` holds the row versions: (database,) key, fingerprint (null: gone), changed_at.
    ``root``: the job's folder; ``group``: a plain name of the data group; ``mark``: gives the lake's next ordinal;
    ``purge``: tombstones up to this mark go.
    The rows of ``distribution._left_out`` (databases) count as none.
    """
    shared = [dataset for dataset in datasets if is_shared(dataset)]
    own = [dataset for dataset in datasets if dataset not in shared]
    layout = sha256(canonical_json([contract(dataset).names for dataset in shared])).hexdigest()
    with _locked(root):
        found = _compare(engine, root, "shared", shared, [Told(SHARED, layout, 0)], mark(), purge)
        in_common = found.get(SHARED, Content())
    found = _compare(engine, root, group, own, told, mark(), purge)
    for content in found.values():
        content.datasets |= in_common.datasets
        content.since = max(content.since, in_common.since)
    return found


@contextmanager
def _locked(root: Path) -> Iterator[None]:
    root.mkdir(parents=True, exist_ok=True)
    with (root / ".lock").open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _compare(
    engine: Engine, root: Path, group: str, datasets: Sequence[str], told: Sequence[Told], mark: int, purge: int
) -> dict[str, Content]:
    if not told:
        return {}
    before = _lines(root, "shared" if group == "shared" else None)
    known = {each.database: line for each in told if (line := _usable(before.get(each.database), each, mark))}
    target = root / f".{group}.part"
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir()
    folders = sorted({line.folder for line in known.values()})
    numbers = {folder: number for number, folder in enumerate(folders)}
    rows = [{"database": name, "folder": numbers[line.folder]} for name, line in known.items()]
    schema = pa.schema({"database": pa.string(), "folder": pa.int64()})
    engine.register("distribution._sent_lines", pa.Table.from_pylist(rows, schema))
    found = {
        each.database: Content(since=max(known[each.database].since, purge) if each.database in known else mark)
        for each in told
    }
    changed = len(known) != len(told) or {line.folder for line in known.values()} != {_newest(root, group)}
    for dataset in datasets:
        of = contract(dataset)
        file = target / f"{dataset}.parquet"
        select = _next(of, group == "shared", folders, mark, purge)
        engine.execute(f"copy ({select}) to {literal(str(file))} (format parquet, compression zstd)")
    counted = _counted(engine, target, datasets, mark, shared=group == "shared")
    changed = changed or any(new for *_, new in counted.values())
    for name, content in found.items():
        content.datasets |= {dataset: counted.get((dataset, name), (0, 0, 0))[:2] for dataset in datasets}
    lines = [
        {"database": each.database, "since": found[each.database].since, "layout": each.layout, "highest": each.highest}
        for each in told
    ]
    final = root / f"{group}.{mark:012d}"
    if changed:
        _keep(root, target, final, lines, mark)
    else:
        # Nothing is new, so the files stay; only how far the sessions were is noted.
        shutil.rmtree(target)
        final = folders[0]
        ours = {each.database for each in told}
        lines += [row for row in pq.read_table(final / _LINES).to_pylist() if row["database"] not in ours]
        pq.write_table(_table(lines), final / f"{_LINES}.part")
        checksums.unseal(final / _LINES)
        (final / f"{_LINES}.part").replace(final / _LINES)
        checksums.seal(final / _LINES)
    for dataset in datasets:
        select = f"select * from read_parquet({file_literal(final / f'{dataset}.parquet')})"
        if group == "shared":
            engine.define(f"sent.{dataset}", select)  # another group may replace the files while this one reads
        else:
            engine.view(f"sent.{dataset}", select, {})
    return found


def _counted(
    engine: Engine, folder: Path, datasets: Sequence[str], mark: int, *, shared: bool
) -> dict[tuple[str, str], tuple[int, int, int]]:
    """By dataset and database: rows, sum of fingerprints, and how many are new or gone."""
    database = literal(SHARED) if shared else "database"
    selects = [
        f"select {literal(dataset)}, {database}, count(fingerprint), coalesce(sum(cast(fingerprint as hugeint)), 0),"
        f" count(*) filter (changed_at = {mark})"
        f" from read_parquet({file_literal(folder / f'{dataset}.parquet')}) group by all"
        for dataset in datasets
    ]
    rows = engine.rows(" union all ".join(selects)) if selects else []
    return {(dataset, name): (count, int(total), new) for dataset, name, count, total, new in rows}


def _lines(root: Path, group: str | None) -> dict[str, _Line]:
    """Each database as its newest folder has it. A folder that was changed or cannot be read is as good as lost."""
    found: dict[str, _Line] = {}
    for folder in sorted(root.glob("[!.]*.????????????")):
        name, _, number = folder.name.rpartition(".")
        if (name == "shared") != (group == "shared"):
            continue
        try:
            if not all(checksums.intact(file) for file in folder.glob("*.parquet")):
                continue
            rows = pq.read_table(folder / _LINES).to_pylist()
        except (OSError, pa.ArrowInvalid):
            continue
        for row in rows:
            line = _Line(folder, int(number), row["since"], row["layout"], row["highest"])
            if row["database"] not in found or found[row["database"]].mark < line.mark:
                found[row["database"]] = line
    return found


def _newest(root: Path, group: str) -> Path | None:
    return max(root.glob(f"{group}.????????????"), default=None)


def _usable(line: _Line | None, told: Told, mark: int) -> _Line | None:
    """A state of before a change of layout, of a lake that is no more, or older than the last session is none."""
    if line is None or line.layout != told.layout or line.mark > mark or line.highest < told.highest - 1:
        return None
    return line


def _next(of: Contract, shared: bool, folders: Sequence[Path], mark: int, purge: int) -> str:
    """The row versions after tonight: rows of now and of before, side by side by key."""
    key = ["database", *of.key] if not shared else list(of.key)
    named = {name: f"coalesce({name}, '')" if of.column(name).type == "VARCHAR" else name for name in of.key}
    keys = ", ".join(f"{named.get(name, name)} as {name}" for name in key)
    # Fifteen hex digits of MD5: the same in every release, so that a new one changes nothing.
    text = f"concat_ws(chr(31), {', '.join(text_of(column) for column in of.columns)})"
    kept = "" if shared else " where database not in (select database from distribution._left_out)"
    fingerprint = f"cast('0x' || substr(md5({text}), 1, 15) as bigint)"
    now = f"select {keys}, {fingerprint} as fingerprint from distribution._{of.dataset}{kept}"
    names = ", ".join(key)
    parts = [
        f"select {names}, fingerprint, changed_at from read_parquet({file_literal(folder / f'{of.dataset}.parquet')})"
        + ("" if shared else f" where database in (select database from distribution._sent_lines where folder = {n})")
        for n, folder in enumerate(folders)
    ]
    nulls = ", ".join(f"cast(null as {'varchar' if n == 'database' else of.column(n).type}) as {n}" for n in key)
    none = f"select {nulls}, cast(null as bigint) as fingerprint, cast(null as bigint) as changed_at where false"
    before = " union all ".join(parts) or none
    both = ", ".join(f"coalesce(now.{name}, before.{name}) as {name}" for name in key)
    same = " and ".join(f"now.{name} = before.{name}" for name in key)
    return f"""
        select {both}, now.fingerprint,
            case when before.changed_at is not null and now.fingerprint is not distinct from before.fingerprint
                then before.changed_at else {mark} end as changed_at
        from ({now}) as now
        full join ({before}) as before on {same}
        where now.fingerprint is not null or before.fingerprint is not null or before.changed_at > {purge}
    """


def _table(lines: Sequence[Mapping[str, object]]) -> pa.Table:
    schema = pa.schema({"database": pa.string(), "since": pa.int64(), "layout": pa.string(), "highest": pa.int64()})
    return pa.Table.from_pylist([dict(line) for line in lines], schema)


def _keep(root: Path, target: Path, final: Path, lines: Sequence[Mapping[str, object]], mark: int) -> None:
    """Makes the new folder count, in one rename; folders that say nothing newer than others go."""
    before = list(root.glob("[!.]*.????????????"))
    pq.write_table(_table(lines), target / _LINES)
    for file in target.glob("*.parquet"):
        checksums.seal(file)
    shutil.rmtree(final, ignore_errors=True)
    target.rename(final)
    shared = final.name.startswith("shared.")
    needed = {line.folder for line in _lines(root, "shared" if shared else None).values()}
    for folder in before:
        if folder not in needed and folder != final and folder.name.startswith("shared.") == shared:
            shutil.rmtree(folder, ignore_errors=True)


@cache
def layout_of(job_datasets: tuple[str, ...], form: str) -> str:
    """What of a package's layout must not change between a base and a delta: format and columns."""
    text = json.dumps([form, [contract(dataset).names for dataset in job_datasets]])
    return sha256(text.encode()).hexdigest()

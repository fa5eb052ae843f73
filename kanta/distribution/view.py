"""V(n): what each store database is to hold on the opening day, for all databases in one pass (spec 6-distribution).

The rows are the private models of ``transforms/distribution/``, each with a ``database`` column; here they are worked
out once, sorted by database, and written as one file for each database and dataset.
"""

from __future__ import annotations

import hashlib
import json
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date, timedelta
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import BinaryIO

import pyarrow as pa
import pyarrow.compute as pc

from kanta import models, programme
from kanta.contracts import Column, Contract
from kanta.distribution.protocol import DatasetFile, Totals, canonical_json, datasets, is_plain
from kanta.engine import Engine
from kanta.errors import KantaError
from kanta.home import Home
from kanta.lake import Lake
from kanta.night import Night
from kanta.programme import dates
from kanta.programme.relations import relations

Progress = Callable[[str, int, int], None]

#: The models behind a job's datasets, each after those it reads.
STEPS: dict[str, tuple[str, ...]] = {
    "1050": (
        *("_cards_now", "_involved_cards", "_cards", "_card_tiers", "_card_balances", "_card_totals"),
        *("_programs", "_tiers", "_price_groups", "_reward_points"),
        *("_schemes", "_earning_rules", "_redemption_rules"),
    )
}

#: Where a job's control totals besides the number of rows come from: (database, total, name, value).
TOTALS = {"1050": "distribution._card_totals"}

_BATCH = 100_000


@dataclass
class StoreView:
    """What one database is to hold: a file for each dataset that has rows, as they go into a full package.

    ``problem``: why it could not be made, if it could not; the other databases are not concerned.
    """

    database: str
    data_group: str
    files: dict[str, Path] = field(default_factory=dict)
    datasets: dict[str, DatasetFile] = field(default_factory=dict)
    contents: dict[str, str] = field(default_factory=dict)
    totals: Totals = field(default_factory=dict)
    problem: str = ""

    @property
    def sha256(self) -> str:
        """Hash of all rows with their columns: two views of one hash are the same view."""
        return hashlib.sha256(canonical_json(sorted(self.contents.items()))).hexdigest()


# ── reading what is published ────────────────────────────────────────────────────────────────────────────────────


@contextmanager
def published(
    home: Home, business_date: date, data_group: str | None, workspace: Path
) -> Iterator[tuple[Engine, date]]:
    """An engine that reads the newest publication and knows the databases to serve; and that publication's date.

    A business date before it is served by it: dates never go back, and what came since is in it. Raises KantaError
    when the night of ``business_date`` is not published yet.
    """
    lake = Lake(home)
    state = lake.published()
    if state.business_date is None or state.business_date < business_date:
        raise KantaError(
            f"The night of {business_date} is not published yet, so there is nothing to send",
            where=str(lake.root),
            next_step=f"kanta run --date {business_date}",
        )
    with Engine(workspace) as engine:
        night = Night(home, lake, engine, "distribution", state, state.business_date)
        request(engine, state.business_date, attach(night), data_group)
        yield engine, state.business_date


def attach(night: Night) -> list[programme.Version]:
    """Makes the lake's tables that the models read readable; gives the programme's versions that nights recorded.

    A version no night has seen yet is no store's business. Raises KantaError when no night has recorded one.
    """
    names = [f"distribution.{step}" for steps in STEPS.values() for step in ("_databases", *steps)]
    inputs = {table for name in names for table in models.models()[name].inputs}
    night.attach("ops.decisions", *sorted(t for t in inputs if not t.startswith(("distribution.", "programme."))))
    contents = night.engine.rows(
        "select content from ops.decisions where kind = 'programme_version' order by seq, decision_id"
    )
    if not contents:
        raise KantaError(
            "No night has recorded the programme yet, so there are no rules to send",
            where="ops.decisions",
            next_step=f"kanta run --date {night.business_date}",
        )
    return [
        programme.Version.recorded(date.fromisoformat(item["effective_from"]), item["text"], item["origin"])
        for item in (json.loads(content) for (content,) in contents)
    ]


def request(engine: Engine, business_date: date, versions: list[programme.Version], data_group: str | None) -> None:
    """Registers what is asked for: the programme of the opening day, and ``distribution._request``, one row.

    It says the opening day, since when transactions make a card involved, the programme's version, the data group
    (null: all) and the programme's choices. ``distribution._databases`` is worked out at once.
    """
    opening_day = business_date + timedelta(days=1)
    for name, table in relations(versions, [opening_day]).items():
        engine.register(name, table)
    span = programme.in_force(programme.spans(versions), opening_day)
    chosen = span.version.programme.distribution
    row = {
        "opening_day": pa.array([opening_day], pa.date32()),
        "involved_since": pa.array([dates.add(opening_day, -chosen.involved_months, "month")], pa.date32()),
        "version": pa.array([span.number], pa.int32()),
        "data_group": pa.array([data_group], pa.string()),
        "all_cards": pa.array([chosen.cards == "all"], pa.bool_()),
        "include_balances": pa.array([chosen.include_balances], pa.bool_()),
    }
    engine.register("distribution._request", pa.table(row))
    define(engine, ("_databases",))


def define(engine: Engine, steps: Iterable[str]) -> None:
    """Works private models of transforms/distribution out, in the given order."""
    for step in steps:
        name = f"distribution.{step}"
        engine.define(name, models.models()[name].sql)


def databases(engine: Engine) -> dict[str, str]:
    """The databases to serve with their data groups, by name."""
    return dict(engine.rows("select distinct database, data_group from distribution._databases order by database"))


# ── writing each database's rows ─────────────────────────────────────────────────────────────────────────────────


def build(engine: Engine, job: str, staging: Path, progress: Progress | None = None) -> list[StoreView]:
    """Works a job's views out and writes their files below ``staging``; by database name.

    Memory: one batch of rows and a few hundred bytes for each database, whatever the views hold.
    """
    define(engine, STEPS[job])
    views = {name: StoreView(name, group) for name, group in databases(engine).items()}
    folders = {name: staging / f"{number:06d}" for number, name in enumerate(views)}
    for name, view in views.items():
        # A folder is named by number: a database's own name may be anything.
        folders[name].mkdir(parents=True)
        if not is_plain(name):
            view.problem = "The database's name cannot stand in a path; only letters, digits, _ . and - can."
    contracts = datasets(job)
    for done, contract in enumerate(contracts, start=1):
        for database, runs in groupby(_runs(engine, contract), key=itemgetter(0)):
            if not views[database].problem:
                _write(views[database], contract, folders[database], runs)
        if progress:
            progress(f"packages {job}", done, len(contracts))
    for view in views.values():
        view.datasets = {c.dataset: view.datasets.get(c.dataset, _no_rows(c.dataset)) for c in contracts}
    _totals(engine, job, views)
    return list(views.values())


def _runs(engine: Engine, contract: Contract) -> Iterator[tuple[str, int, memoryview]]:
    """A dataset's lines for all databases, by database and key: (database, rows, their text) without a copy of any."""
    order = ", ".join(("database", *contract.key))
    sql = f"select database, {_line(contract)} as line from distribution._{contract.dataset} order by {order}"
    for batch in engine.con.sql(sql).to_arrow_reader(_BATCH):
        if not batch.num_rows:
            continue
        names, lines = batch.column("database"), batch.column("line")
        _, starts, text = lines.buffers()
        offsets = memoryview(starts).cast("i")[lines.offset :]
        first = 0
        for end in pc.run_end_encode(names).run_ends.to_pylist():
            yield names[first].as_py(), end - first, memoryview(text)[offsets[first] : offsets[end]]
            first = end


def _line(contract: Contract) -> str:
    """The SQL of one line of a full package's file: op U, then the columns; empty is null."""
    return " || ',' || ".join(("'U'", *(_field(column) for column in contract.columns))) + " || chr(10)"


def _field(column: Column) -> str:
    if column.type != "VARCHAR":
        return f"coalesce(cast(cast({column.name} as {column.type}) as varchar), '')"
    return (
        f"case when regexp_matches({column.name}, '[\",\\r\\n]')"
        f" then '\"' || replace({column.name}, '\"', '\"\"') || '\"' else coalesce({column.name}, '') end"
    )


def _write(view: StoreView, contract: Contract, folder: Path, runs: Iterable[tuple[str, int, memoryview]]) -> None:
    """Writes one dataset of one database; what fails is that database's problem alone."""
    path = folder / f"{contract.dataset}.csv.gz"
    head = (",".join(("op", *contract.names)) + "\n").encode()
    try:
        with path.open("xb") as file:
            packed = _Packed(file)
            packed.add(0, head)
            for _, rows, text in runs:
                packed.add(rows, text)
            packed.end()
    except OSError as error:
        view.problem = f"{path.name} could not be written: {error.strerror or error}"
        return
    view.files[contract.dataset] = path
    view.contents[contract.dataset] = packed.content.hexdigest()
    view.datasets[contract.dataset] = DatasetFile(
        name=contract.dataset,
        file=path.name,
        rows=packed.rows,
        deletes=0,
        bytes=packed.bytes,
        sha256=packed.sent.hexdigest(),
    )


class _Packed:
    """A gzip file being written, with what is to be known of it: rows, bytes, and the hashes before and after."""

    def __init__(self, file: BinaryIO) -> None:
        self.file, self.rows, self.bytes = file, 0, 0
        self.content, self.sent = hashlib.sha256(), hashlib.sha256()
        # zlib's own gzip header holds neither name nor time, so the same rows give the same bytes.
        self._gzip = zlib.compressobj(6, zlib.DEFLATED, 31)

    def add(self, rows: int, text: bytes | memoryview) -> None:
        self.rows += rows
        self.content.update(text)
        self._put(self._gzip.compress(text))

    def end(self) -> None:
        self._put(self._gzip.flush())

    def _put(self, data: bytes) -> None:
        self.sent.update(data)
        self.bytes += self.file.write(data)


def _no_rows(name: str) -> DatasetFile:
    return DatasetFile(name=name, file=None, rows=0, deletes=0, bytes=0, sha256=None)


def _totals(engine: Engine, job: str, views: dict[str, StoreView]) -> None:
    """Puts the control totals together: rows by dataset, then what the job counts besides."""
    counted: dict[str, dict[str, dict[str, str]]] = {name: {} for name in views}
    for database, total, name, value in engine.rows(f"select * from {TOTALS[job]} order by database, total, name"):
        counted[database].setdefault(total, {})[name] = value
    for database, view in views.items():
        found = counted[database]
        view.totals = {
            "rows": {name: file.rows for name, file in view.datasets.items()},
            "cards": int(found.get("cards", {}).get("", "0")),
            "available": found.get("available", {}),
            "tiers": {tier: int(cards) for tier, cards in found.get("tiers", {}).items()},
        }

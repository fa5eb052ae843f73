"""The night: its stages, each a short function over the lake's tables, and how they make one publication.

A stage reads what the night has committed so far, else what is published; it writes its tables and then moves
the lake's head, in one step. The command line and the DAGs call the very same functions.
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from decimal import Decimal
from functools import cached_property
from pathlib import Path
from typing import Any

import pyarrow as pa

from kanta import contracts, landing, models, programme, quality
from kanta.contracts import contract_of
from kanta.engine import Engine
from kanta.errors import CheckFailed
from kanta.home import Home
from kanta.lake import Lake, State

FEEDS = ("pos", "call_center", "hq")

#: The first and the last day a record can be in force, where nothing else says so.
BEGINNING, FOREVER = date(1, 1, 1), date(9999, 12, 31)


@dataclass
class Night:
    """One stage at work: the lake's state it builds on, an engine, and what it has committed so far.

    ``business_date`` is the last day the stage works through; ``since`` the last day it had worked through before
    (BEGINNING: none), ``mark`` the seq of the last change it had taken in, ``seq`` that of its own.
    """

    home: Home
    lake: Lake
    engine: Engine
    stage: str
    state: State
    business_date: date
    log: dict[str, Any] = field(default_factory=dict)
    progress: Callable[[str, int, int], None] | None = None
    _attached: set[str] = field(default_factory=set)

    @property
    def seq(self) -> int:
        return self.state.seq + 1

    @property
    def mark(self) -> int:
        return self.state.marks.get(self.stage, 0)

    @property
    def since(self) -> date:
        return self.state.through.get(self.stage, BEGINNING)

    @property
    def last_published(self) -> date:
        """The last business date readers have seen a night of."""
        return self.state.business_date or BEGINNING

    @property
    def parameters(self) -> dict[str, Any]:
        return {
            "business_date": self.business_date,
            "since": self.mark,
            "since_date": self.since,
            "published_date": self.last_published,
            "seq": self.seq,
            "checkpoint": self.state.marks.get("checkpoint", 0),
        }

    def recorded_versions(self) -> list[programme.Version]:
        """The programme's versions that earlier nights have seen, in the order seen."""
        self.attach("ops.decisions")
        return [
            programme.Version.recorded(date.fromisoformat(item["effective_from"]), item["text"], item["origin"])
            for (content,) in self.engine.rows(
                "select content from ops.decisions where kind = 'programme_version' order by seq, decision_id"
            )
            for item in [json.loads(content)]
        ]

    @cached_property
    def versions(self) -> list[programme.Version]:
        """The programme's versions in force up to tonight; a version never seen before is recorded at once."""
        recorded = self.recorded_versions()
        versions = programme.versions(self.home, recorded, self.business_date)
        rows = [
            {
                "decision_id": f"programme version {number:06d}",
                "kind": "programme_version",
                "recorded_on": self.business_date,
                "content": json.dumps(
                    {"effective_from": new.effective_from.isoformat(), "text": new.text, "origin": new.origin}
                ),
                "seq": self.seq,
            }
            for number, new in enumerate(versions[len(recorded) :], start=len(recorded) + 1)
        ]
        if rows:
            self.engine.register("ops._new_decisions", pa.Table.from_pylist(rows))
            self.append("ops.decisions", "select * from ops._new_decisions")
        return versions

    # ── reading ──────────────────────────────────────────────────────────────────────────────────────────────

    def attach(self, *tables: str) -> None:
        """Makes tables readable by name, views and what they read included: private steps and the programme, too."""
        for table in tables:
            if table in self._attached:
                continue
            self._attached.add(table)
            if table.startswith("programme."):
                self._recorded_programme()
                continue
            if table.split(".")[1].startswith("_"):
                step = models.models()[table]
                self.attach(*step.inputs)
                self.engine.view(table, step.sql, self._of(step.parameters))
                continue
            contract = contract_of(table)
            if contract.kind == "view":
                model = models.models()[table]
                self.attach(*model.inputs)
                self.engine.view(table, model.sql, self._of(model.parameters))
            else:
                self.engine.attach(contract, self.lake.files(table, self.state))

    def programme_relations(self, first_day: date) -> None:
        """Registers the ``programme.*`` relations for each day from ``first_day`` to tonight."""
        days = [first_day + timedelta(days=n) for n in range((self.business_date - first_day).days + 1)]
        self._register_programme(self.versions, days)

    def _recorded_programme(self) -> None:
        """Registers the relations by version as the lake recorded them, for a view that a reader asks for."""
        self._register_programme(self.recorded_versions(), [])

    def _register_programme(self, versions: list[programme.Version], days: list[date]) -> None:
        from kanta.programme.relations import relations

        for name, table in relations(versions, days).items():
            self.engine.register(name, table)
            self._attached.add(name)

    # ── working ──────────────────────────────────────────────────────────────────────────────────────────────

    def _of(self, names: Iterable[str]) -> dict[str, Any]:
        return {name: self.parameters[name] for name in names}

    def define(self, *names: str) -> None:
        """Works private models out, in the given order, reading what is attached or defined."""
        for name in names:
            model = models.models()[name]
            self.attach(
                *(i for i in model.inputs if not i.split(".")[1].startswith("_") and not i.startswith("programme."))
            )
            self.engine.define(name, model.sql, self._of(model.parameters))
            self._attached.add(name)

    def substitute(self, name: str, select: str) -> None:
        """Works a SELECT out in the place of a private step, for all that reads it from here on."""
        self.engine.define(name, select)
        self._attached.add(name)

    def narrow(self, view: str, name: str, cards: str, **narrowed: str) -> None:
        """Works a public view out as ``name``, only for the cards of the relation ``cards``.

        What it reads is cut to them first, so that the work goes with them and not with the whole table;
        ``narrowed``: a view it reads, by its bare name, that is already.
        """
        model = models.models()[view]
        sql = model.sql
        for table in model.inputs:
            schema, bare = table.split(".")
            cut = narrowed.get(bare, f"{schema}._cut_{bare}")
            if bare not in narrowed:
                self.attach(table)
                self.engine.view(cut, f"select * from {table} where card_id in (select card_id from {cards})", {})
            sql = re.sub(rf"\b{re.escape(table)}\b", cut, sql)
        self.engine.define(name, sql, self._of(model.parameters))

    # ── writing ──────────────────────────────────────────────────────────────────────────────────────────────

    def append(self, table: str, select: str) -> int:
        """Adds a SELECT's rows to a posting table; returns how many."""
        return self._commit(table, select, [])

    def put(self, table: str, select: str, partitions: Iterable[Any], also: list[Path] | None = None) -> int:
        """Replaces whole partitions of a fact or state table by a SELECT's rows; returns how many rows.

        ``also``: files of new partitions, written elsewhere, that go in with the same commit.
        """
        return self._commit(table, select, list(partitions), also)

    def rebuild(self, table: str, partitions: Iterable[Any]) -> int:
        """Replaces whole partitions of a table by its own model's rows."""
        model = models.models()[table]
        self.attach(*(i for i in model.inputs if not i.split(".")[1].startswith("_")))
        return self._commit(table, model.sql, list(partitions))

    def add_files(self, table: str, files: list[Path]) -> int:
        """Adds Parquet files written elsewhere, each of one partition, moving them to where the table lies."""
        version = self.lake.next_version(table, self.state, self.seq)
        directory = self.lake.fresh_directory(table, version)
        return self._add(table, version, [_moved(file, directory) for file in files], [])

    def _commit(self, table: str, select: str, partitions: list[Any], also: list[Path] | None = None) -> int:
        version = self.lake.next_version(table, self.state, self.seq)
        directory = self.lake.fresh_directory(table, version)
        files = self.engine.write(contract_of(table), select, directory, self._named(select))
        return self._add(table, version, [*files, *(_moved(file, directory) for file in also or [])], partitions)

    def _add(self, table: str, version: str, files: list[Path], partitions: list[Any]) -> int:
        self.state = self.lake.change(contract_of(table), self.state, version, files, partitions)
        self._attached.discard(table)
        rows = sum(_rows(file) for file in files)
        self.log.setdefault("written", {})[table] = rows
        return rows

    def _named(self, select: str) -> Mapping[str, Any]:
        return {name: value for name, value in self.parameters.items() if f"${name}" in select}


def _moved(file: Path, directory: Path) -> Path:
    target = directory / "taken" / file.parent.name / file.name
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.move(file, target)
    return target


def _rows(file: Path) -> int:
    import pyarrow.parquet as pq

    return int(pq.read_metadata(file).num_rows)


@contextmanager
def stage(home: Home, name: str, business_date: date, lake: Lake | None = None) -> Iterator[Night]:
    """One stage of the night of ``business_date``: what it commits counts when it ends, or not at all."""
    lake = lake or Lake(home)
    with lake.writing():
        state = lake.recover()
        with Engine(lake.root / "work") as engine:
            night = Night(home, lake, engine, name, state, _through(state, name, business_date))
            yield night
            after = replace(
                night.state,
                through={**night.state.through, name: max(night.business_date, night.since)},
                marks={**night.state.marks, name: night.seq - 1},
                log={**night.state.log, name: night.log},
            )
            changed = after.tables != state.tables
            if changed:
                after = replace(after, seq=night.seq, marks={**after.marks, name: night.seq})
            if changed or after.through != state.through or after.marks != state.marks:
                lake.move_head(after)


def _through(state: State, name: str, business_date: date) -> date:
    """The last day a stage works through: its business date, or further if every feed has come in further.

    Dates may be run in any order (a backfill does): a later date's drops that are in already are taken along, so that
    the lake never holds half a night.
    """
    if name.startswith("ingest_"):
        return business_date
    come_in = [state.through.get(f"ingest_{feed}", BEGINNING) for feed in FEEDS]
    return max(business_date, min(come_in), state.business_date or BEGINNING)


def _ingest(night: Night, feed: str) -> None:
    night.attach("ops.drops", "ops.quarantine")
    known = {
        row[0]: landing.Known(*row)
        for row in night.engine.rows(
            "select drop_id, revision, stamp, control_sha256, status, accepted_revision from ops.drops"
            " where feed = $feed"
            # A drop whose refusal was released is looked at anew.
            " and drop_id not in (select drop_id from ops.quarantine where level = 'drop' and status = 'released')",
            {"feed": feed},
        )
    }
    out = night.lake.root / "work" / f"ingest_{feed}"
    shutil.rmtree(out, ignore_errors=True)
    taken = landing.take(night.home, feed, night.business_date, known, seq=night.seq, out=out, progress=night.progress)
    night.log |= {
        "rows_in": taken.in_rows,
        "accepted": taken.accepted_rows,
        "repeated": taken.repeated_rows,
        "refused": taken.refused_rows,
        "drops": taken.drops.num_rows,
        "warnings": taken.warnings.to_pylist(),
    }
    if not taken.drops.num_rows:
        return
    night.engine.register("ops._looked_at", taken.drops)
    night.engine.register("ops._refused", taken.quarantine)
    accepted = "select drop_id from ops._looked_at where status = 'accepted'"
    datasets = {name.split(".")[1] for name in contracts.landing() if name.split(".")[0] in (feed, "any")}
    for dataset in sorted(datasets):
        _land(night, f"landed.{dataset}", taken.rows.get(dataset, []), accepted)
    partitions = [day for (day,) in night.engine.rows("select distinct business_date from ops._looked_at order by 1")]
    night.engine.define(
        "ops._drops",
        "select looked_at.*, case when looked_at.status = 'accepted' then looked_at.revision"
        " else coalesce(known.accepted_revision, 0) end as accepted_revision"
        " from ops._looked_at as looked_at left join ops.drops as known on looked_at.drop_id = known.drop_id",
    )
    days = "select business_date from ops._drops"
    night.put(
        "ops.drops",
        f"select * from ops.drops where business_date in ({days}) and drop_id not in (select drop_id from ops._drops)"
        " union all by name select * from ops._drops",
        partitions,
    )
    night.put(
        "ops.quarantine",
        "select * replace (case when drop_id in (select drop_id from ops._drops) then 'superseded' else status end"
        " as status)"
        f" from ops.quarantine where business_date in ({days})"
        " and quarantine_id not in (select quarantine_id from ops._refused)"
        " union all by name select * from ops._refused",
        partitions,
    )
    shutil.rmtree(out, ignore_errors=True)


def _land(night: Night, table: str, files: list[Path], replaced: str) -> None:
    """Adds a dataset's new rows; of drops that came again the old rows go."""
    if not files and table not in night.state.tables:
        return
    night.attach(table)
    old = [
        day
        for (day,) in night.engine.rows(
            f"select distinct drop_date from {table} where drop_id in ({replaced}) order by 1"
        )
    ]
    contract = contract_of(table)
    if not old:
        night.add_files(table, files)
        return
    night.engine.attach(replace(contract, name=f"new.{table.split('.')[1]}"), files)
    days = ", ".join(f"date '{day}'" for day in old)
    fresh = [file for file in files if date.fromisoformat(file.parent.name.removeprefix("drop_date=")) not in set(old)]
    night.put(
        table,
        f"select * from {table} where drop_date in ({days}) and drop_id not in ({replaced})"
        f" union all by name select * from new.{table.split('.')[1]} where drop_date in ({days})",
        old,
        also=fresh,
    )


def _sales(night: Night) -> None:
    night.attach("ops.drops")
    night.define("sales._touched_drops")
    if not night.engine.value("select count(*) from sales._touched_drops"):
        return
    night.define(
        "sales._documents_now", "sales._product_of_day", "sales._redescribed", "sales._touched", "sales._copies",
        "sales._holding", "sales._affected_days", "sales._differing_copies",
    )  # fmt: skip
    days = [day for (day,) in night.engine.rows("select business_date from sales._affected_days order by 1")]
    for table in ("transactions", "lines", "tenders"):
        night.attach(f"sales.{table}")
        night.rebuild(f"sales.{table}", days)
    night.define("sales._new_documents")
    night.append("sales.documents", "select * from sales._new_documents")
    _set_copies_aside(night)


def _set_copies_aside(night: Night) -> None:
    rows = night.engine.rows("select document_id, drop_id, file, line, counting_drop_id from sales._differing_copies")
    if not rows:
        return
    night.attach("ops.quarantine")
    refused = []
    for document, drop, file, line, counting in rows:
        feed, day, source = drop.split("/", 2)
        refused.append(
            {
                "quarantine_id": hashlib.sha256(f"{drop}|{file}|{line}|copy_differs".encode()).hexdigest()[:16],
                "feed": feed,
                "business_date": date.fromisoformat(day),
                "source": source,
                "file": file,
                "line": line,
                "dataset": "transactions",
                "record_key": document,
                "level": "transaction",
                "rule": "copy_differs",
                "reason": f"says something else than the copy that came first, in {counting}",
                "status": "open",
                "drop_id": drop,
                "revision": None,
                "raw": None,
                "seq": night.seq,
            }
        )
    night.engine.register("ops._copies", pa.Table.from_pylist(refused))
    days = "select distinct business_date from ops._copies"
    night.put(
        "ops.quarantine",
        f"select * from ops.quarantine where business_date in ({days})"
        " and quarantine_id not in (select quarantine_id from ops._copies)"
        " union all by name select * from ops._copies",
        [day for (day,) in night.engine.rows(days)],
    )


def _customers(night: Night) -> None:
    from kanta import customers

    customers.work_out(night)


def _call_center(night: Night) -> None:
    from kanta import call_center

    call_center.judge(night)


def _loyalty(night: Night) -> None:
    from kanta import loyalty

    loyalty.work_out(night)


def _rfm(night: Night) -> None:
    from kanta import rfm

    night.attach("sales.documents")
    first = night.engine.value("select min(business_date) from sales.documents")
    night.programme_relations(max(first or night.business_date, night.since + timedelta(days=1)))
    rfm.score(night)


#: Each stage of a night in its order. Distribution follows the publication and is kanta.distribution's own.
STAGES: dict[str, Callable[[Night], None]] = {
    "ingest_hq": lambda night: _ingest(night, "hq"),
    "ingest_pos": lambda night: _ingest(night, "pos"),
    "ingest_call_center": lambda night: _ingest(night, "call_center"),
    "customers": _customers,
    "sales": _sales,
    "call_center": _call_center,
    "loyalty": _loyalty,
    "rfm": _rfm,
}


STAGE_NAMES = (*STAGES, "publish", "distribution")


@dataclass
class Reporter:
    """Says how far a run has come: a bar on a terminal, plain lines elsewhere, nothing when quiet."""

    quiet: bool = False

    def say(self, text: str) -> None:
        if not self.quiet:
            print(text, file=sys.stderr, flush=True)

    def progress(self, what: str, done: int, of: int) -> None:
        """One step of long work; on a terminal it redraws one line."""
        if self.quiet or not sys.stderr.isatty():
            return
        width = 30
        filled = width * done // max(of, 1)
        end = "\n" if done >= of else ""
        print(f"\r{what:<28} [{'#' * filled:<{width}}] {done:,}/{of:,}", end=end, file=sys.stderr, flush=True)


def run_stage(home: Home, name: str, business_date: date, reporter: Reporter | None = None) -> dict[str, Any]:
    """Carries out one stage; returns its log. ``publish`` makes the night visible to readers."""
    reporter = reporter or Reporter(quiet=True)
    if name == "publish":
        return publish(home, business_date)
    if name == "distribution":
        from kanta import distribution

        return distribution.run(home, business_date, reporter.progress)
    begun = time.perf_counter()
    with stage(home, name, business_date) as night:
        night.progress = reporter.progress
        STAGES[name](night)
        night.log["seconds"] = round(time.perf_counter() - begun, 3)
    reporter.say(f"{name:<20} {night.log['seconds']:7.2f} s  {_in_words(night.log)}")
    return night.log


def _in_words(log: Mapping[str, Any]) -> str:
    parts = [f"{log[key]:,} {key.replace('_', ' ')}" for key in log if isinstance(log[key], int)]
    parts += [f"{rows:,} {table}" for table, rows in log.get("written", {}).items() if rows]
    return ", ".join(parts) or "nothing new"


def run(
    home: Home,
    first: date,
    last: date,
    *,
    each_night: bool = False,
    reporter: Reporter | None = None,
    judge: quality.Judge | None = None,
) -> dict[str, Any]:
    """The nightly work through ``last``: as one run, or night after night from ``first``; returns the last logs.

    ``judge``: a data-quality worker that is running already; else one is started, to get ready while the night works.
    """
    programme.load(home.programme)
    if judge is None:
        with quality.Judge() as own:
            return run(home, first, last, each_night=each_night, reporter=reporter, judge=own)
    reporter = reporter or Reporter(quiet=True)
    nights = [first + timedelta(days=n) for n in range((last - first).days + 1)]
    result: dict[str, Any] = {}
    for day in nights if each_night else [last]:
        reporter.say(f"night of {day}")
        result = {"business_date": day}
        for name in STAGES:
            result[name] = run_stage(home, name, day, reporter)
        result["publish"] = publish(home, day, judge, reporter)
        result["distribution"] = run_stage(home, "distribution", day, reporter)
    result["open_quarantine"], result["missing"] = _open_matters(home, nights)
    return result


def _open_matters(home: Home, nights: Iterable[date]) -> tuple[int, list[str]]:
    """How much stands open in quarantine, and which store-days that settings.yaml expects are missing."""
    lake = Lake(home)
    state = lake.published()
    with Engine(lake.root / "work") as engine:
        Night(home, lake, engine, "reading", state, state.night).attach("ops.quarantine", "ops.drops")
        waiting = int(engine.value("select count(*) from ops.quarantine where status = 'open'"))
        taken = {drop for (drop,) in engine.rows("select drop_id from ops.drops where accepted_revision > 0")}
    missing = landing.missing_days(home, nights, taken)
    return waiting, [f"{found.source} on {found.business_date}: {found.why}" for found in missing]


def needs_a_look(result: Mapping[str, Any]) -> bool:
    """Finished, but something was set aside or is missing (exit code 3)."""
    return bool(result.get("open_quarantine") or result.get("missing"))


def publish(
    home: Home, business_date: date, judge: quality.Judge | None = None, reporter: Reporter | None = None
) -> dict[str, Any]:
    """Judges what the night has written and, if nothing critical is wrong, lets readers see all of it at once."""
    from kanta.reading import refresh_analysts_file

    reporter = reporter or Reporter(quiet=True)
    lake = Lake(home)
    with lake.writing():
        head, published = lake.recover(), lake.published()
        through = _through(head, "publish", business_date)
        whole = head.of_the_night() == published.of_the_night()
        if whole and published.business_date and published.business_date >= through:
            refresh_analysts_file(home)  # a run may have died before it came to that
            reporter.say("publish                        nothing new")
            return {"number": published.number, "changed": False}
        begun = time.perf_counter()
        with ThreadPoolExecutor(1) as aside:
            # Iceberg's library loads while the judge thinks.
            judged = aside.submit(_judge, home, lake, head, published, judge)
            _ = lake.catalog
            results = judged.result()
        with Engine(lake.root / "work") as engine:
            night = Night(home, lake, engine, "publish", head, through)
            _keep_checks(night, results)
            _keep_runs(night, head)
            lake.move_head(replace(night.state, seq=night.seq))
        failed = [r for r in results if not r.success and r.severity == "critical"]
        if failed:
            raise CheckFailed(
                f"{len(failed)} critical checks failed; readers still see the last night:\n"
                + "\n".join(f"  {r.table_name}: {r.check_name}: {r.observed}" for r in failed),
                where=str(lake.root),
                next_step=f"correct the cause, then: kanta run --date {business_date}",
            )
        state = lake.publish(through)
        refresh_analysts_file(home)
        warned = sum(not r.success for r in results)
        seconds = time.perf_counter() - begun
        reporter.say(
            f"{'publish':<20} {seconds:7.2f} s  {len(results)} checks, {warned} warnings; publication {state.number}"
        )
        return {"number": state.number, "changed": True, "checks": len(results), "warnings": warned}


def _judge(home: Home, lake: Lake, head: State, published: State, judge: quality.Judge | None) -> list[quality.Result]:
    """Judges the files that are new since the last publication, table by table.

    Landed rows are not judged again: the router has held each of them against the very same contract.
    """
    tables = {}
    for table in sorted(head.of_the_night()):
        if table.startswith("landed.") or head.tables[table] == published.tables.get(table):
            continue
        known = set(lake.files(table, published))
        new = [file for file in lake.files(table, head) if file not in known]
        if new:
            tables[table] = new
    agreed = {table: contract_of(table) for table in tables}
    if judge is not None:
        return judge.ask(tables, agreed, home.reports / "data_docs")
    with quality.Judge() as own:
        return own.ask(tables, agreed, home.reports / "data_docs")


def _keep_checks(night: Night, results: list[quality.Result]) -> None:
    night.attach("ops.checks")
    rows = [
        {
            "business_date": night.business_date,
            "table_name": r.table_name,
            "check_name": r.check_name,
            "severity": r.severity,
            "success": r.success,
            "observed": r.observed,
            "rows_checked": r.rows_checked,
        }
        for r in results
    ]
    if rows:
        night.engine.register("ops._checks", pa.Table.from_pylist(rows))
        night.put("ops.checks", "select * from ops._checks", [night.business_date])


def _keep_runs(night: Night, head: State) -> None:
    rows = [
        {
            "business_date": night.business_date,
            "stage": name,
            "seq": night.seq,
            "rows_in": log.get("rows_in"),
            "rows_out": sum(log.get("written", {}).values()),
            "seconds": Decimal(str(log.get("seconds", 0))),
            "detail": json.dumps(log, default=str),
        }
        for name, log in sorted(head.log.items())
    ]
    if rows:
        night.attach("ops.runs")
        night.engine.register("ops._runs", pa.Table.from_pylist(rows))
        stages = ", ".join(f"'{row['stage']}'" for row in rows)
        night.put(
            "ops.runs",
            f"select * from ops.runs where business_date = date '{night.business_date}' and stage not in ({stages})"
            " union all by name select * from ops._runs",
            [night.business_date],
        )

"""The night: what a stage works with, which stages there are, and running them.

A stage reads what the night has committed so far, else what is published; it writes its tables and then moves
the lake's head, in one step. Each is a short function in a module of its name; ``kanta.publishing`` ends the night.
The command line and the DAGs call the very same functions.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from functools import cached_property
from importlib import import_module
from pathlib import Path
from threading import Thread
from typing import Any

import pyarrow as pa

from kanta import checksums, landing, models, programme, quality
from kanta.contracts import contract_of
from kanta.engine import Engine, literal, rows_of
from kanta.home import Home
from kanta.lake import Lake, State

FEEDS = ("pos", "call_center", "hq")

#: So many of what a take found odd are said; all of them stand in ``ops.runs``.
SHOWN_WARNINGS = 5

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
    _writing: list[tuple[str, str, Future[list[Path]]]] = field(default_factory=list)

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
            if table == "loyalty._replaced":
                self._replaced_cards()
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

    def attach_anew(self, *tables: str) -> None:
        """Makes tables readable as they are by now."""
        self.rows_written()
        self._attached.difference_update(tables)
        self.attach(*tables)

    def programme_relations(self, first_day: date) -> None:
        """Registers the ``programme.*`` relations for each day from ``first_day`` to tonight."""
        days = [first_day + timedelta(days=n) for n in range((self.business_date - first_day).days + 1)]
        self._register_programme(self.versions, days)

    def _recorded_programme(self) -> None:
        """Registers the relations as the lake recorded them, for a view that a reader asks for.

        Those by date hold the night and the day after it, the first that is still to come.
        """
        days = [self.business_date, self.business_date + timedelta(days=1)] if self.business_date < FOREVER else []
        self._register_programme(self.recorded_versions(), days)

    def _replaced_cards(self) -> None:
        from kanta import accounts

        self.attach("loyalty._replacement_claims")
        accounts.replace(self.engine)

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
            self._attach_inputs(model)
            self.engine.define(name, model.sql, self._of(model.parameters))
            self._attached.add(name)

    def unworked(self, *names: str, **instead: str) -> None:
        """Makes private models readable without working them out: who reads one works out what it asks for.

        ``instead``: what they read in the place of a table.
        """
        for name in names:
            model = models.models()[name]
            self._attach_inputs(model)
            self.engine.view(name, renamed_in(model.sql, instead), self._of(model.parameters))
            self._attached.add(name)

    def _attach_inputs(self, model: models.Model) -> None:
        """Makes a model's inputs readable but for what the stage works out itself."""
        self.attach(
            *(i for i in model.inputs if not i.split(".")[1].startswith("_") and not i.startswith("programme."))
        )

    def substitute(self, name: str, select: str) -> None:
        """Works a SELECT out in the place of a private step, for all that reads it from here on."""
        self.engine.define(name, select)
        self._attached.add(name)

    def narrow(self, view: str, name: str, cards: str, **narrowed: str) -> None:
        """Works a public view out as ``name``, only for the cards of the relation ``cards`` and, of what expires, only
        what does by their day ``until``.

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
                kept = f"select rows.* from {table} as rows inner join {cards} using (card_id)"
                if "expires_on" in contract_of(table).names:
                    kept += " where coalesce(rows.expires_on, until) <= until"
                self.engine.view(cut, kept, {})
            sql = renamed_in(sql, {table: cut})
        self.engine.define(name, sql, self._of(model.parameters))

    # ── writing ──────────────────────────────────────────────────────────────────────────────────────────────

    def append(self, table: str, select: str, day: date | None = None, *, unseen: bool = False) -> int:
        """Adds a SELECT's rows to a posting table, all of the partition ``day`` if given; returns how many.

        ``unseen``: until ``attach_anew`` the table is read as it was.
        """
        read_already = table in self._attached
        rows = self._commit(table, select, [], day)
        if unseen and read_already:
            self._attached.add(table)
        return rows

    def put(self, table: str, select: str, values: Iterable[Any]) -> int:
        """Replaces what a fact or state table holds of some values of its partition column, days mostly, by a SELECT's
        rows; returns how many rows."""
        return self._commit(table, select, list(values))

    def rebuild(self, table: str, values: Iterable[Any]) -> int:
        """Replaces what a table holds of some values of its partition column by its own model's rows."""
        model = models.models()[table]
        self.attach(*(i for i in model.inputs if not i.split(".")[1].startswith("_")))
        return self._commit(table, model.sql, list(values))

    def add_files(self, table: str, files: list[Path]) -> int:
        """Adds Parquet files written elsewhere, each of one partition, moving them to where the table lies."""
        version, directory = self._next(table)
        return self._add(table, version, [_moved(file, directory) for file in files])

    def append_rows(self, tables: Mapping[str, pa.Table]) -> None:
        """Adds rows to posting tables as they come, while the next are worked out (``rows_written``)."""
        from concurrent.futures import ThreadPoolExecutor

        from kanta import postings

        writers = ThreadPoolExecutor(os.cpu_count())
        for table, (version, directory) in {table: self._next(table) for table in tables}.items():
            rows = tables[table]
            files = writers.submit(postings.write, contract_of(table), rows, directory)
            self._writing.append((table, version, files))
        writers.shutdown(wait=False)

    def rows_written(self) -> None:
        """Waits for the rows last added; until ``attach_anew`` their tables are read as they were."""
        writing, self._writing = self._writing, []
        attached = self._attached & {table for table, _, _ in writing}
        for table, version, files in writing:
            self._add(table, version, files.result())
        self._attached |= attached

    def merge(self, table: str, files: list[Path]) -> None:
        """Writes what some of a table's files hold as one file for each partition."""
        version, directory = self._next(table)
        written = self.engine.write(contract_of(table), rows_of(contract_of(table), files), directory)
        self._add(table, version, written, files)

    def _commit(self, table: str, select: str, values: list[Any], day: date | None = None) -> int:
        contract = contract_of(table)
        months = {value.isoformat()[:7] for value in (values or [day]) if value and contract.by_month}
        month = months.pop() if len(months) == 1 else None
        version, directory = self._next(table)
        files = self.engine.write(contract, select, directory, self._named(select), month)
        whole, mixed = self.lake.concerned(contract, self.state, values)
        rest = []
        if mixed:  # what they hold of other days stays
            self.lake.files(table, self.state)
            days = ", ".join(literal(day) for day in values)
            others = f"{rows_of(contract, mixed)} where {contract.partition} not in ({days})"
            rest = self.engine.write(contract, others, directory / "rest", month=month)
        return self._add(table, version, files, [*whole, *mixed], rest)

    def _next(self, table: str) -> tuple[str, Path]:
        """The name of the version that comes next of a table, and where its files go. Rows that are still being written
        count first: they are a version of their own."""
        self.rows_written()
        version = self.lake.next_version(table, self.state, self.seq)
        return version, self.lake.fresh_directory(table, version)

    def _add(
        self, table: str, version: str, files: list[Path], gone: Collection[Path] = (), rest: Iterable[Path] = ()
    ) -> int:
        self.state = self.lake.change(table, self.state, version, [*files, *rest], gone)
        self._attached.discard(table)
        rows = sum(_rows(file) for file in files)
        written = self.log.setdefault("written", {})
        written[table] = written.get(table, 0) + rows
        return rows

    def _named(self, select: str) -> Mapping[str, Any]:
        return {name: value for name, value in self.parameters.items() if f"${name}" in select}


def renamed_in(sql: str, names: Mapping[str, str]) -> str:
    """The SELECT with other tables in the place of those it reads."""
    for name, other in names.items():
        sql = re.sub(rf"\b{re.escape(name)}\b", other, sql)
    return sql


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
        with Engine(lake.root / "work", shared=True) as engine:
            night = Night(home, lake, engine, name, state, worked_through(state, name, business_date))
            yield night
            lake.check_what_was_read()
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


def worked_through(state: State, name: str, business_date: date) -> date:
    """The last day a stage works through: its business date, or further if every feed has come in further.

    Dates may be run in any order (a backfill does): a later date's drops that are in already are taken along, so that
    the lake never holds half a night.
    """
    if name.startswith("ingest_"):
        return business_date
    come_in = [state.through.get(f"ingest_{feed}", BEGINNING) for feed in FEEDS]
    return max(business_date, min(come_in), state.business_date or BEGINNING)


def _ingest(night: Night, feed: str) -> None:
    from kanta import ingest

    ingest.take_in(night, feed)


def _sales(night: Night) -> None:
    from kanta import sales

    sales.work_out(night)


def _customers(night: Night) -> None:
    from kanta import customers

    customers.work_out(night)


def _call_center(night: Night) -> None:
    from kanta import call_center

    call_center.judge(night)


def _loyalty(night: Night) -> None:
    from kanta import loyalty, store_days

    loyalty.work_out(night)
    store_days.work_out(night)


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


STAGE_NAMES = (*STAGES, "publish", "analysts", "distribution")


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
    """Carries out one stage; returns its log. ``publish`` makes the night visible to readers; ``analysts`` adds up for
    their page what is published."""
    reporter = reporter or Reporter(quiet=True)
    if name == "publish":
        from kanta.publishing import publish

        return publish(home, business_date)
    if name == "analysts":
        from kanta.analysts import prepared

        begun = time.perf_counter()
        prepared.refresh(home)
        reporter.say(f"{name:<20} {time.perf_counter() - begun:7.2f} s  what the analysts' page shows")
        return {"number": Lake(home).published().number}
    if name == "distribution":
        from kanta import distribution

        begun = time.perf_counter()
        sent = distribution.run(home, business_date, reporter.progress)
        failed = f"; failed: {', '.join(sent['failed'])}" if sent["failed"] else ""
        failed += f"; {sent['unreachable']}" if "unreachable" in sent else ""
        reporter.say(f"{name:<20} {time.perf_counter() - begun:7.2f} s  {_in_words(sent)}{failed}")
        for doubted in sent["doubted"][:SHOWN_WARNINGS]:
            reporter.say(f"{'':<20} not believed: inbox/{doubted} (distribution.acknowledgements)")
        return sent
    begun = time.perf_counter()
    with stage(home, name, business_date) as night:
        night.progress = reporter.progress
        STAGES[name](night)
        night.log["seconds"] = round(time.perf_counter() - begun, 3)
    reporter.say(f"{name:<20} {night.log['seconds']:7.2f} s  {_in_words(night.log)}")
    for warning in night.log.get("warnings", ())[:SHOWN_WARNINGS]:
        place = "/".join(filter(None, (warning["feed"], warning["business_date"], warning["source"], warning["file"])))
        reporter.say(f"{'':<20} {place}: {warning['reason']}")
    return night.log


def _in_words(log: Mapping[str, Any]) -> str:
    parts = [f"{log[key]:,} {key.replace('_', ' ')}" for key in log if isinstance(log[key], int)]
    parts += [f"{len(log['warnings']):,} warnings (ops.runs)"] if log.get("warnings") else []
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
    from kanta.publishing import judge_ahead, publish

    programme.load(home.programme)
    if judge is None:
        with quality.Judge() as own:
            return run(home, first, last, each_night=each_night, reporter=reporter, judge=own)
    Thread(target=_load_libraries).start()
    reporter = reporter or Reporter(quiet=True)
    nights = [first + timedelta(days=n) for n in range((last - first).days + 1)]
    before = Lake(home).head().seq
    result: dict[str, Any] = {}
    for day in nights if each_night else [last]:
        reporter.say(f"night of {day}")
        checksums.forget()
        result = {"business_date": day}
        for name in STAGES:
            result[name] = run_stage(home, name, day, reporter)
            judge_ahead(home, judge)
        result["publish"] = publish(home, day, judge, reporter)
        result["distribution"] = run_stage(home, "distribution", day, reporter)
    result |= _open_matters(home, nights, before)
    return result


def _load_libraries() -> None:
    """Loads what later stages need, a second each, while the first ones wait for the engine."""
    for name in ("pyiceberg.io.pyarrow", "pyiceberg.catalog.sql"):
        import_module(name)


def _open_matters(home: Home, nights: Sequence[date], before: int) -> dict[str, Any]:
    """What the nights asked for leave to look at.

    ``open_quarantine``: all that stands open in quarantine; ``set_aside``: what of it is dated in these nights or came
    since the change ``before``; ``doubles``: their members' receipts that came under two ids; ``missing``: store-days
    that settings.yaml expects.
    """
    lake = Lake(home)
    state = lake.published()
    asked = {"first": nights[0], "last": nights[-1], "before": before}
    with Engine(lake.root / "work", shared=True) as engine:
        reader = Night(home, lake, engine, "reading", state, state.night)
        reader.attach("ops.quarantine", "ops.drops", "ops.receipt_checks", "customers.receipts")
        waiting = int(engine.value("select count(*) from ops.quarantine where status = 'open'"))
        set_aside = int(
            engine.value(
                "select count(*) from ops.quarantine where status = 'open'"
                " and (business_date between $first and $last or seq > $before)",
                asked,
            )
        )
        doubles = engine.rows(
            # Those of nobody are told in ops.receipt_checks alone: no member's points depend on them.
            "select expected, found from ops.receipt_checks as checks"
            " inner join customers.receipts as receipts on checks.transaction_id = receipts.transaction_id"
            " where rule = 'double' and coalesce(receipts.loyalty_card_id, receipts.customer_id) is not null"
            " and checks.business_date between $first and $last order by all",
            {"first": nights[0], "last": nights[-1]},
        )
        taken = {drop for (drop,) in engine.rows("select drop_id from ops.drops where accepted_revision > 0")}
    missing = landing.missing_days(home, nights, taken)
    return {
        "open_quarantine": waiting,
        "set_aside": set_aside,
        "doubles": [f"{found} is {first} under another id" for first, found in doubles],
        "missing": [f"{found.source} on {found.business_date}: {found.why}" for found in missing],
    }


def needs_a_look(result: Mapping[str, Any]) -> bool:
    """Finished, but something of the nights asked for was set aside, came twice or is missing, or a place of packages
    did not answer (exit code 3)."""
    unreachable = "unreachable" in result.get("distribution", {})
    return bool(unreachable or any(result.get(name) for name in ("set_aside", "doubles", "missing")))

"""The end of a night: it is judged and, if nothing critical is wrong, readers see all of it at once."""

from __future__ import annotations

import json
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import replace
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa

from kanta import quality
from kanta.contracts import contract_of
from kanta.engine import Engine
from kanta.errors import CheckFailed
from kanta.home import Home
from kanta.lake import Lake, State
from kanta.models import models
from kanta.night import BEGINNING, Night, Reporter, renamed_in, worked_through
from kanta.reading import AnalystsFile, refresh_analysts_file

#: So many rows of a failed check are named.
SHOWN_ROWS = 5


def publish(
    home: Home, business_date: date, judge: quality.Judge | None = None, reporter: Reporter | None = None
) -> dict[str, Any]:
    """Judges what the night has written and, if nothing critical is wrong, lets readers see all of it at once."""
    reporter = reporter or Reporter(quiet=True)
    lake = Lake(home)
    with lake.writing():
        head, published = lake.recover(), lake.published()
        through = worked_through(head, "publish", business_date)
        whole = head.of_the_night() == published.of_the_night()
        if whole and published.business_date and published.business_date >= through:
            refresh_analysts_file(home)  # a run may have died before it came to that
            reporter.say("publish                        nothing new")
            return {"number": published.number, "changed": False}
        begun = time.perf_counter()
        tables = _written(lake, head, published)
        lake.check_new(head, tables)
        agreed = {table: contract_of(table) for table in tables}
        with (
            nullcontext(judge) if judge else quality.Judge() as judge,
            AnalystsFile(home) as readers,
            ThreadPoolExecutor(2) as aside,
        ):
            # The readers' views are drawn and Iceberg's library loads while the judge thinks.
            judged = aside.submit(judge.ask, tables, agreed)
            drawn = aside.submit(readers.draw, lake.next(through))
            _ = lake.catalog
            results = judged.result()
            told = aside.submit(judge.ask, tables, agreed, home.reports / "data_docs")  # he knows it all by now
            with Engine(lake.root / "work", shared=True) as engine:
                night = Night(home, lake, engine, "publish", head, through)
                results = [*results, _nothing_run_out_is_open(night)]
                _keep_checks(night, results)
                _keep_runs(night, head)
                lake.check_what_was_read()
                lake.move_head(replace(night.state, seq=night.seq))
            failed = [r for r in results if not r.success and r.severity == "critical"]
            if failed:
                raise CheckFailed(
                    f"{len(failed)} critical checks failed; readers still see the last night:\n"
                    + "\n".join(f"  {r.table_name}: {r.check_name}: {r.observed}" for r in failed),
                    where=str(lake.root),
                    next_step=f"correct the cause, then: kanta run --date {business_date}",
                )
            told.result()
            drawn.result()
            file = readers.finish(lake.next(through))
        state = lake.publish(through)
        file.replace(lake.root / "analysts.duckdb")
        warned = sum(not r.success for r in results)
        seconds = time.perf_counter() - begun
        reporter.say(
            f"{'publish':<20} {seconds:7.2f} s  {len(results)} checks, {warned} warnings; publication {state.number}"
        )
        return {"number": state.number, "changed": True, "checks": len(results), "warnings": warned}


def judge_ahead(home: Home, judge: quality.Judge) -> None:
    """Has the judge look at what the night has written so far while the next stage works."""
    lake = Lake(home)
    tables = _written(lake, lake.head(), lake.published())
    judge.begin(tables, {table: contract_of(table) for table in tables})


def _written(lake: Lake, head: State, published: State) -> dict[str, list[Path]]:
    """The files that are new since the last publication, table by table.

    Landed rows are not judged again: the router has held each of them against the very same contract.
    """
    tables = {}
    for table in sorted(head.of_the_night()):
        if table.startswith("landed.") or head.tables[table] == published.tables.get(table):
            continue
        known = set(lake.listed(table, published))
        new = [file for file in lake.listed(table, head) if file not in known]
        if new:
            tables[table] = new
    return tables


def _nothing_run_out_is_open(night: Night) -> quality.Result:
    """Whether every lot that ran out since this was last found well is closed, in the ledger and in the balances.

    ``kanta verify`` asks the same of all lots there are.
    """
    audit = models()["audits._2_no_open_lot_has_run_out"]
    check = audit.name.removeprefix("audits._2_")
    night.attach("ops.checks", "loyalty.lot_postings")
    since = night.engine.value(
        "select max(business_date) from ops.checks"
        " where check_name = $check and success and business_date < $business_date",
        night.parameters | {"check": check},
    )
    night.engine.define(
        "loyalty._run_out",
        f"select card_id, $business_date as until from ({models()['loyalty._due_lots'].sql})",
        night.parameters | {"since_date": since or BEGINNING},
    )
    cut = {table: table.replace(".", "._run_out_") for table in audit.inputs}
    for table, name in cut.items():
        night.narrow(table, name, "loyalty._run_out")
    night.engine.define("loyalty._still_open", renamed_in(audit.sql, cut), night.parameters)
    asked = night.engine.value("select count(*) from loyalty._run_out")
    found = night.engine.rows(f"select * from loyalty._still_open order by all limit {SHOWN_ROWS}")
    count = night.engine.value("select count(*) from loyalty._still_open")
    lots = "; ".join(f"{lot} of card {card}, {left} until {day} ({where})" for where, lot, card, left, day in found)
    observed = f"{count:,} open: {lots}. next: kanta replay" if count else "0"
    return quality.Result("loyalty.lots", check, "critical", not count, observed, asked)


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

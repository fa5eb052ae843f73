"""RFM analysis (spec: 5-rfm.md): scores, thresholds and segments of the definitions due, under ``transforms/rfm``.

One thing SQL alone cannot say: a measure of lower priority is scored within the groups that those above it made.
So the same statements run once for each level of priority, on what the levels before have left in ``rfm._scored``;
and again for the imagined cases that say where a move between segments comes from, in ``rfm._imagined``.
"""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING

from kanta import models

if TYPE_CHECKING:
    from kanta.night import Night

TAKEN_IN = (
    "rfm._runs", "rfm._scopes", "rfm._sales_days", "rfm._definition_options", "rfm._options", "rfm._levels",
    "rfm._channel_days", "rfm._day_rates",
)  # fmt: skip
LEVEL = ("rfm._values", "rfm._level_cuts", "rfm._value_scores", "rfm._ties", "rfm._level_bounds")
MOVED = (
    "rfm._pairs", "rfm._pair_options", "rfm._pair_scores", "rfm._combinations", "rfm._moves", "rfm._movers",
    "rfm._standings",
)  # fmt: skip
IMAGINED = ("rfm._questions", "rfm._answers")

#: What ``rfm._measures`` is told of the run at work.
RUN = ("run", "scope", "as_of", "period_start", "period_end")

NO_BOUNDS = """
    create or replace table rfm._bounds (
        run bigint, level bigint, measure varchar, above integer, score integer,
        lowest decimal(18, 2), highest decimal(18, 2), whole_lowest decimal(18, 2), whole_highest decimal(18, 2),
        customers bigint
    )
"""
NO_CUTS = """
    create or replace table rfm._cuts (
        run bigint, measure varchar, above integer, cut_no integer, cut decimal(24, 6)
    )
"""
NOT_IMAGINED = """
    create or replace table rfm._imagined (
        run bigint, mover bigint, combination integer, measure varchar, level bigint, score integer
    )
"""


def score(night: Night) -> None:
    """Scores every customer for each row of ``programme.rfm_due`` in one pass; nothing due, nothing done.

    Replaces the partitions of the dates due in the tables of ``rfm`` as a whole, so doing it again changes nothing.
    Needs the ``programme.*`` relations registered for the dates due.
    """
    due = [as_of for (as_of,) in night.engine.rows("select distinct as_of from programme.rfm_due order by as_of")]
    if not due:
        return
    night.define(*TAKEN_IN)
    _read_purchases(night)
    _score_by_level(night)
    _put(night, "rfm.scores", due)
    _put(night, "rfm.thresholds", due)
    night.attach("rfm.segments")
    _put(night, "rfm.segments", due)
    night.engine.execute("drop table rfm._scored")
    night.attach("rfm.scores", "rfm.segments")
    _explain_moves(night)
    _put(night, "rfm.migrations", due)
    _keep_history(night)
    _look_ahead(night)


def _read_purchases(night: Night) -> None:
    """Makes ``rfm._purchases`` readable, unworked: to keep them takes more time and room than to read them again."""
    night.attach("customers.receipts", "reference.loyalty_cards")
    _view(night, "rfm._receipts", "rfm._purchases")


def _view(night: Night, *steps: str) -> None:
    for step in steps:
        night.engine.view(step, models.models()[step].sql, {})


def _explain_moves(night: Night) -> None:
    """Fills ``rfm._imagined``: what each mover would have scored had only some of the causes come."""
    night.define(*MOVED)
    night.engine.execute(NOT_IMAGINED)
    for _ in range(night.engine.value("select coalesce(max(level), 0) from rfm._pair_options")):
        night.define(*IMAGINED)
        night.engine.execute("insert into rfm._imagined by name select * from rfm._answers")
    night.define("rfm._outcomes")


def _keep_history(night: Night) -> None:
    """Adds the orders that count for the first time, and removes those kept longer than their definition says."""
    night.attach("rfm.history", "customers.receipts", "reference.loyalty_cards")
    night.define("rfm._history_kept")
    dates = [as_of for (as_of,) in night.engine.rows("select distinct as_of from rfm._history_kept order by as_of")]
    if dates:
        kept = "select history.* from rfm.history as history inner join rfm._history_kept as dates using (as_of)"
        night.put(
            "rfm.history",
            f"{models.models()['rfm.history'].sql} union all by name {kept}"
            " where history.definition = dates.definition and dates.kept",
            dates,
        )


def _look_ahead(night: Night) -> None:
    """Cohorts and lifetimes, at a month's end."""
    ends = [as_of for (as_of,) in night.engine.rows("select distinct as_of from rfm._runs where month_end order by 1")]
    if not ends:
        return
    _view(night, "rfm._cohort_receipts")
    night.define("rfm._cohort_customers")
    _put(night, "rfm.cohorts", ends)
    due = [d for (d,) in night.engine.rows("select distinct as_of from rfm._runs where lifetime_model is not null")]
    if due:
        from kanta import lifetime

        lifetime.foretell(night)
        night.put("rfm.lifetime_models", "select * from rfm._lifetime_fits", due)
        _put(night, "rfm.lifetime_value", due)


def _put(night: Night, table: str, due: list[date]) -> None:
    night.put(table, models.models()[table].sql, due)


def _score_by_level(night: Night) -> None:
    """Fills ``rfm._scored``, ``rfm._bounds`` and ``rfm._cuts``, the measures of the highest priority first."""
    night.define("rfm._purchase_days", "rfm._without_rate")
    _measure(night)
    night.engine.execute(NO_BOUNDS)
    night.engine.execute(NO_CUTS)
    _view(night, "rfm._graded")
    for _ in range(night.engine.value("select coalesce(max(level), 0) from rfm._options")):
        night.define(*LEVEL)
        _view(night, "rfm._level_scores")
        night.engine.execute("create or replace table rfm._scored as select * from rfm._level_scores")
        night.engine.execute("insert into rfm._bounds by name select * from rfm._level_bounds")
        night.engine.execute("insert into rfm._cuts by name select * from rfm._level_cuts")
    _view(night, "rfm._segmented")


def _measure(night: Night) -> None:
    """Makes ``rfm._scored`` of the measures of each run, one run after the other."""
    for number, run in enumerate(night.engine.rows(f"select {', '.join(RUN)} from rfm._runs order by run")):
        night.engine.view("rfm._measures", models.models()["rfm._measures"].sql, dict(zip(RUN, run, strict=True)))
        if number == 0:
            night.engine.execute("create or replace table rfm._scored as select * from rfm._measures")
        else:
            night.engine.execute("insert into rfm._scored by name select * from rfm._measures")

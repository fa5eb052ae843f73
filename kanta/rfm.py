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

TAKEN_IN = ("rfm._runs", "rfm._definition_options", "rfm._options", "rfm._channel_days", "rfm._day_rates")
MEASURED = ("rfm._purchase_days", "rfm._measures")
LEVEL = ("rfm._to_score", "rfm._values", "rfm._level_cuts")
MOVED = (
    "rfm._pairs", "rfm._pair_options", "rfm._pair_scores", "rfm._combinations", "rfm._moves", "rfm._movers",
    "rfm._standings",
)  # fmt: skip
IMAGINED = ("rfm._questions", "rfm._answers")

NO_SCORES = """
    create or replace table rfm._scored (
        run bigint, level bigint, measure varchar, within varchar, customer_id varchar,
        value decimal(18, 2), score integer
    )
"""
NO_CUTS = """
    create or replace table rfm._cuts (
        run bigint, measure varchar, within varchar, cut_no integer, cut decimal(24, 6)
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
    _take_in_purchases(night)
    night.define(*MEASURED)
    _score_by_level(night)
    _put(night, "rfm.scores", due)
    _put(night, "rfm.thresholds", due)
    # Counted from the scores as committed, compared with the segments of the dates before.
    night.attach("rfm.scores", "rfm.segments")
    _put(night, "rfm.segments", due)
    _explain_moves(night)
    _put(night, "rfm.migrations", due)
    _keep_history(night)
    _look_ahead(night)


def _take_in_purchases(night: Night) -> None:
    """Makes ``rfm._purchases`` readable: kept at a month's end, when cohorts and lifetimes read them too; else read
    once and worked out as they are read, because to keep them all takes more time and room than all the rest."""
    if night.engine.value("select count(*) from rfm._runs where month_end"):
        night.define("rfm._purchases")
        return
    night.attach("sales.transactions", "reference.loyalty_cards")
    night.engine.view("rfm._purchases", models.models()["rfm._purchases"].sql, {})


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
    night.attach("rfm.history", "sales.transactions", "reference.loyalty_cards")
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
    """Fills ``rfm._scored`` and ``rfm._cuts``, the measures of the highest priority first."""
    night.engine.execute(NO_SCORES)
    night.engine.execute(NO_CUTS)
    for _ in range(night.engine.value("select coalesce(max(level), 0) from rfm._options")):
        night.define(*LEVEL)
        night.engine.view("rfm._level_scores", models.models()["rfm._level_scores"].sql, {})
        night.engine.execute("insert into rfm._scored by name select * from rfm._level_scores")
        night.engine.execute("insert into rfm._cuts by name select * from rfm._level_cuts")

"""RFM analysis (spec: 5-rfm.md): scores, thresholds and segments of the definitions due, under ``transforms/rfm``.

One thing SQL alone cannot say: a measure of lower priority is scored within the groups that those above it made.
So the same statements run once for each level of priority, on what the levels before have left in ``rfm._scored``.
"""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING

from kanta import models

if TYPE_CHECKING:
    from kanta.night import Night

MEASURED = ("rfm._runs", "rfm._options", "rfm._channel_days", "rfm._purchases", "rfm._measures")
LEVEL = ("rfm._to_score", "rfm._values", "rfm._level_cuts", "rfm._level_scores")

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


def score(night: Night) -> None:
    """Scores every customer for each row of ``programme.rfm_due`` in one pass; nothing due, nothing done.

    Replaces the partitions of the dates due in rfm.scores, rfm.thresholds and rfm.segments as a whole, so doing it
    again changes nothing. Needs the ``programme.*`` relations registered for the dates due.
    """
    due = [as_of for (as_of,) in night.engine.rows("select distinct as_of from programme.rfm_due order by as_of")]
    if not due:
        return
    night.define(*MEASURED)
    _score_by_level(night)
    _put(night, "rfm.scores", due)
    _put(night, "rfm.thresholds", due)
    # Counted from the scores as committed, compared with the segments of the dates before.
    night.attach("rfm.scores", "rfm.segments")
    _put(night, "rfm.segments", due)


def _put(night: Night, table: str, due: list[date]) -> None:
    night.put(table, models.models()[table].sql, due)


def _score_by_level(night: Night) -> None:
    """Fills ``rfm._scored`` and ``rfm._cuts``, the measures of the highest priority first."""
    night.engine.execute(NO_SCORES)
    night.engine.execute(NO_CUTS)
    for _ in range(night.engine.value("select coalesce(max(level), 0) from rfm._options")):
        night.define(*LEVEL)
        night.engine.execute("insert into rfm._scored by name select * from rfm._level_scores")
        night.engine.execute("insert into rfm._cuts by name select * from rfm._level_cuts")

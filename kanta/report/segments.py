"""The newest RFM analyses."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from kanta.report.nights import Window


@dataclass(frozen=True)
class Segment:
    name: str
    customers: int
    share: Decimal | None
    revenue: Decimal
    change: int | None


@dataclass(frozen=True)
class Analysis:
    """The newest date of one RFM definition: its segments, best scores first, and customers by (r, f)."""

    definition: str
    as_of: date
    segments: list[Segment]
    grid: dict[tuple[int, int], int]

    @property
    def divisions(self) -> tuple[int, int]:
        return max((r for r, _ in self.grid), default=0), max((f for _, f in self.grid), default=0)


def read(window: Window) -> list[Analysis]:
    """One for each definition that ever ran."""
    found = window.rows("select definition, max(as_of) from rfm.segments where as_of <= $night group by 1 order by 1")
    segments = window.rows(_SEGMENTS)
    grid = window.rows("select definition, as_of, r, f, count(*) from rfm.scores group by all order by all")
    return [
        Analysis(
            definition,
            as_of,
            [Segment(*row[2:]) for row in segments if row[:2] == (definition, as_of)],
            {(r, f): customers for of, on, r, f, customers in grid if (of, on) == (definition, as_of)},
        )
        for definition, as_of in found
    ]


# The best scores first, so that the order tells something and hardly moves from night to night.
_SEGMENTS = """
with

scored as (
    select
        definition,
        as_of,
        segment,
        cast(sum(r + f + m) as decimal(18, 6)) / count(*) as score
    from rfm.scores
    group by definition, as_of, segment
)

select
    segments.definition,
    segments.as_of,
    segments.segment,
    segments.customers,
    segments.share,
    segments.revenue,
    segments.customers_change
from rfm.segments as segments
left join scored
    on segments.definition = scored.definition
    and segments.as_of = scored.as_of
    and segments.segment = scored.segment
order by segments.definition, segments.as_of, scored.score desc nulls last, segments.segment
"""

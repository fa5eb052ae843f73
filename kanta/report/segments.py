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
class Lifetime:
    """A lifetime model that is not published, or is with a warning, and why."""

    as_of: date
    model: str
    published: bool
    reason: str


@dataclass(frozen=True)
class Analysis:
    """The newest date of one RFM definition: its segments, best scores first, and customers by (r, f).

    ``lifetimes``: what is to be minded of its newest lifetime models.
    """

    definition: str
    as_of: date
    segments: list[Segment]
    grid: dict[tuple[int, int], int]
    lifetimes: list[Lifetime]

    @property
    def divisions(self) -> tuple[int, int]:
        return max((r for r, _ in self.grid), default=0), max((f for _, f in self.grid), default=0)


def read(window: Window) -> list[Analysis]:
    """One for each definition that ever ran."""
    found = window.rows("select definition, max(as_of) from rfm.segments where as_of <= $night group by 1 order by 1")
    segments = window.rows(_SEGMENTS)
    lifetimes = window.rows(_LIFETIMES)
    grid = window.rows("select definition, as_of, r, f, count(*) from rfm.scores group by all order by all")
    return [
        Analysis(
            definition,
            as_of,
            [Segment(*row[2:]) for row in segments if row[:2] == (definition, as_of)],
            {(r, f): customers for of, on, r, f, customers in grid if (of, on) == (definition, as_of)},
            [Lifetime(*row[1:]) for row in lifetimes if row[0] == definition],
        )
        for definition, as_of in found
    ]


_LIFETIMES = """
select definition, as_of, model, published, reason
from rfm.lifetime_models
where as_of <= $night
qualify as_of = max(as_of) over (partition by definition) and reason is not null
order by definition, model
"""

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

"""What lies ahead: points about to expire, cards about to change tier, what is owed for points."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from kanta.report.nights import Window

TABLES = ("loyalty.breakage", "loyalty.deferred_revenue", "loyalty.expiring_soon", "loyalty.tier_outlook")


@dataclass(frozen=True)
class Owed:
    """One reward point: outstanding, what of it is expected to be redeemed and is worth, and revenue still deferred.

    Expiring: usable points, each span with those before it. Money is in the accounting currency; None: no value known.
    """

    program_id: str
    reward_point_id: str
    outstanding: Decimal
    expected: Decimal
    value: Decimal | None
    deferred: Decimal | None
    cards: int
    in_30: Decimal
    in_60: Decimal
    in_90: Decimal


@dataclass(frozen=True)
class Moving:
    """Cards that lose a tier within 30 days unless they qualify again, and cards that lack at most a fifth for it."""

    program_id: str
    tier_id: str
    losing: int
    near: int


@dataclass(frozen=True)
class Ahead:
    owed: list[Owed]
    moving: list[Moving]


def read(window: Window) -> Ahead:
    """The figures as of the night; by their tables each card can be asked for."""
    return Ahead(window.each(Owed, _OWED), window.each(Moving, _MOVING))


_OWED = """
with

owed as (
    select
        program_id,
        reward_point_id,
        sum(outstanding) as outstanding,
        sum(ultimate - redeemed) as expected,
        sum(expected_value) as value
    from loyalty.breakage
    group by program_id, reward_point_id
),

expiring as (
    select
        program_id,
        reward_point_id,
        count(*) filter (where expiring_90d > 0) as cards,
        sum(expiring_30d) as in_30,
        sum(expiring_60d) as in_60,
        sum(expiring_90d) as in_90
    from loyalty.expiring_soon
    group by program_id, reward_point_id
),

deferred as (
    select
        program_id,
        reward_point_id,
        sum(remaining) as remaining
    from loyalty.deferred_revenue
    group by program_id, reward_point_id
)

select
    owed.program_id,
    owed.reward_point_id,
    owed.outstanding,
    owed.expected,
    owed.value,
    deferred.remaining,
    coalesce(expiring.cards, 0),
    coalesce(expiring.in_30, 0),
    coalesce(expiring.in_60, 0),
    coalesce(expiring.in_90, 0)
from owed
left join expiring
    on owed.program_id = expiring.program_id
    and owed.reward_point_id = expiring.reward_point_id
left join deferred
    on owed.program_id = deferred.program_id
    and owed.reward_point_id = deferred.reward_point_id
where owed.outstanding <> 0
order by owed.program_id, owed.reward_point_id
"""

_MOVING = """
select
    program_id,
    tier_id,
    count(*) filter (where outlook = 'keep' and days_left <= 30) as losing,
    count(*) filter (where outlook = 'reach' and missing * 5 <= minimum) as near
from loyalty.tier_outlook
group by program_id, tier_id, level
having losing > 0 or near > 0
order by program_id, level desc, tier_id
"""

"""What lies ahead: points about to expire, cards about to change tier, what is owed for points."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from kanta.report.nights import Window

TABLES = (
    "loyalty.breakage", "loyalty.breakage_backtest", "loyalty.deferred_revenue", "loyalty.expiring_soon",
    "loyalty.tier_outlook",
)  # fmt: skip


@dataclass(frozen=True)
class Owed:
    """One redeemable reward point: outstanding, what of it is expected to be redeemed and is worth, revenue deferred.

    ``low`` and ``high``: the range beside what is expected. Of the ``months`` of earning of which something is held, so
    many are told by older ones and by the programme; the rest count in full. Expiring: usable points, from tomorrow on,
    each span with those before it. Money is in the accounting currency; None: no value known.
    """

    program_id: str
    reward_point_id: str
    outstanding: Decimal
    expected: Decimal
    low: Decimal
    high: Decimal
    months: int
    by_older: int
    by_programme: int
    value: Decimal | None
    deferred: Decimal | None
    cards: int
    in_30: Decimal
    in_60: Decimal
    in_90: Decimal

    @property
    def basis(self) -> str:
        """What the estimate rests on, as the end of a sentence."""
        full = self.months - self.by_older - self.by_programme
        parts = (
            (self.by_older, "by what older ones redeemed in all of such a life"),
            (self.by_programme, "by the programme's share"),
            (full, "in full, because no older one has lived as long"),
        )
        counted = ", ".join(f"{number} {how}" for number, how in parts if number)
        return f"of {self.months} {'month' if self.months == 1 else 'months'} of earning {counted or 'none any more'}"


@dataclass(frozen=True)
class Tested:
    """What was expected of one reward point at the end of a month a year ago, and what was redeemed since."""

    program_id: str
    reward_point_id: str
    estimated_on: date
    held: Decimal
    expected: Decimal
    redeemed: Decimal
    still_held: Decimal


@dataclass(frozen=True)
class Moving:
    """Cards whose effective tier ends within 30 days unless they qualify again, and those that lack a fifth at most."""

    program_id: str
    tier_id: str
    losing: int
    near: int


@dataclass(frozen=True)
class Ahead:
    owed: list[Owed]
    moving: list[Moving]
    tested: list[Tested]


def read(window: Window) -> Ahead:
    """The figures as of the night; by their tables each card can be asked for."""
    owed, moving, tested = window.each(Owed, _OWED), window.each(Moving, _MOVING), window.each(Tested, _TESTED)
    return Ahead(owed, moving, tested)


_OWED = """
with

owed as (
    select
        program_id,
        reward_point_id,
        sum(outstanding) as outstanding,
        sum(ultimate - redeemed) as expected,
        sum(ultimate_low - redeemed) as low,
        sum(ultimate_high - redeemed) as high,
        count(*) filter (where method <> 'ended') as months,
        count(*) filter (where method in ('share_of_older', 'pace_of_older')) as by_older,
        count(*) filter (where method = 'prior') as by_programme,
        sum(expected_value) as value
    from loyalty.breakage
    where method is not null
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
    owed.low,
    owed.high,
    owed.months,
    owed.by_older,
    owed.by_programme,
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

_TESTED = """
select
    program_id,
    reward_point_id,
    estimated_on,
    sum(held_then),
    sum(expected_then),
    sum(redeemed_since),
    sum(held_now)
from loyalty.breakage_backtest
group by program_id, reward_point_id, estimated_on
order by program_id, reward_point_id
"""

_MOVING = """
select
    program_id,
    tier_id,
    count(*) filter (where outlook = 'keep' and tier_id = tier_id_now and days_left <= 30) as losing,
    count(*) filter (where outlook = 'reach' and missing * 5 <= minimum) as near
from loyalty.tier_outlook
group by program_id, tier_id, level
having losing > 0 or near > 0
order by program_id, level desc, tier_id
"""

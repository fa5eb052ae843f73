"""The call center on the night's page: holds by age, fraud by reason, under-paid orders (spec 4-call-center)."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal

from kanta.night import Night

#: Tables the section is made from; the first is there as soon as an order was judged.
TABLES = (
    "call_center.order_status",
    "call_center.order_holds",
    "call_center.fraud_checks",
    "call_center.fraud_matches",
    "call_center.notices",
)


@dataclass(frozen=True)
class HeldBy:
    """Orders waiting that one hold code holds: for less than three days, a week, longer; and the longest."""

    hold_code: str
    new: int
    days: int
    old: int
    longest: int


@dataclass(frozen=True)
class Suspected:
    """What one reason found tonight: a rule, or a kind of value known to be bad. ``held``: of its orders."""

    reason: str
    orders: int
    held: int
    score: int


@dataclass(frozen=True)
class UnderPaid:
    """An order waiting that is not paid enough."""

    order_id: str
    ordered: date
    currency: str
    total: Decimal
    paid: Decimal
    due: Decimal


@dataclass(frozen=True)
class Orders:
    """All figures of the section. ``open``: orders open or submitted, ``ready``: of these nothing is in the way of."""

    open: int = 0
    ready: int = 0
    held: list[HeldBy] = field(default_factory=list)
    suspected: list[Suspected] = field(default_factory=list)
    under_paid: list[UnderPaid] = field(default_factory=list)
    notices: list[tuple[str, int]] = field(default_factory=list)

    def __bool__(self) -> bool:
        return bool(self.open or self.suspected or self.notices)


def read(night: Night, previous: date) -> Orders:
    """The section's figures: what waits now, and what came after ``previous``."""
    if TABLES[0] not in night.state.tables:
        return Orders()
    night.attach(*TABLES)
    rows = night.engine.rows
    since = {"previous": previous, "night": night.business_date}
    ((waiting, ready),) = rows(_WAITING)
    return Orders(
        open=waiting,
        ready=ready,
        held=[HeldBy(*row) for row in rows(_HELD)],
        suspected=[Suspected(*row) for row in rows(_SUSPECTED, since)],
        under_paid=[UnderPaid(*row) for row in rows(_UNDER_PAID)],
        notices=[(notice, count) for notice, count in rows(_NOTICES, since)],
    )


_WAITING = """
select
    count(*),
    count(*) filter (may_process)
from call_center.order_status
where status in ('open', 'submitted')
"""

_HELD = """
select
    holds.hold_code,
    count(*) filter (holds.days < 3),
    count(*) filter (holds.days between 3 and 6),
    count(*) filter (holds.days > 6),
    max(holds.days)
from call_center.order_holds as holds
inner join call_center.order_status as orders
    on holds.order_id = orders.order_id
where
    holds.cleared_at is null
    and orders.status in ('open', 'submitted')
group by holds.hold_code
order by holds.hold_code
"""

_SUSPECTED = """
select
    case when matches.type = 'rule' then matches.rule else matches.type end as reason,
    count(distinct matches.order_id),
    count(distinct matches.order_id) filter (checks.held),
    sum(matches.score)::bigint
from call_center.fraud_matches as matches
inner join call_center.fraud_checks as checks
    on matches.order_id = checks.order_id
    and matches.checked_on = checks.checked_on
where
    matches.checked_on > $previous
    and matches.checked_on <= $night
group by 1
order by 3 desc, 2 desc, 1
"""

_UNDER_PAID = """
select
    order_id,
    business_date,
    currency,
    total_amount,
    paid,
    due
from call_center.order_status
where
    status in ('open', 'submitted')
    and payment_status = 'under'
order by due desc, order_id
"""

_NOTICES = """
select
    notice,
    count(*)
from call_center.notices
where
    sent_on > $previous
    and sent_on <= $night
group by notice
order by list_position(['first', 'second', 'cancel'], notice)
"""

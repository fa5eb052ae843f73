"""The days of stores on a night's page: which are whole, and what the others lack."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from kanta.report.nights import Window
from kanta.report.showing import LISTED


@dataclass(frozen=True)
class StoreDay:
    """A store's day that is not whole: what it lacks, and how far its tenders and points are off.

    ``numbers``: the first of the missing numbers; ``points_off``: 0 where the tills state no points.
    """

    store_id: str
    business_date: date
    verdict: str
    receipts: int
    missing: int
    numbers: str
    quarantined: int
    reports: int
    difference: Decimal
    points_off: Decimal


@dataclass(frozen=True)
class StoreDays:
    """The night's days of stores by verdict, and the first of those to look at, the worst first."""

    by_verdict: dict[str, int]
    odd: list[StoreDay]

    @property
    def incomplete(self) -> int:
        return self.by_verdict.get("incomplete", 0)

    @property
    def differing(self) -> int:
        return self.by_verdict.get("differs", 0)

    @property
    def to_look_at(self) -> int:
        return self.incomplete + self.differing + self.by_verdict.get("absent", 0)


_BY_VERDICT = """
select verdict, count(*)
from ops.store_days
where business_date > $previous and business_date <= $night
group by verdict
order by verdict
"""

_ODD = """
select
    store_id, business_date, verdict, receipts, missing,
    array_to_string(string_split(coalesce(missing_numbers, ''), '|')[:3], ', '),
    quarantined, reports, difference, case when points_declared <> 0 then points_declared - points_earned else 0 end
from ops.store_days
where business_date > $previous and business_date <= $night and verdict in ('absent', 'incomplete', 'differs')
order by verdict = 'differs', business_date desc, quarantined desc, missing desc, reports desc, store_id
"""


def read(window: Window) -> StoreDays:
    """What the night's days of stores are like."""
    return StoreDays(dict(window.rows(_BY_VERDICT)), window.each(StoreDay, _ODD + f" limit {LISTED}"))

"""The drops on a night's page: what came, late or again, and what did not come."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta

from kanta import landing
from kanta.night import BEGINNING
from kanta.report.nights import Window


@dataclass(frozen=True)
class FeedDrops:
    """What the night took from one feed. Rows: as the control files state them, taken, refused, known before."""

    feed: str
    drops: int
    refused_drops: int
    late: int
    expected: int
    accepted: int
    refused: int
    repeated: int


@dataclass(frozen=True)
class Drop:
    """A drop of an earlier night that came tonight, for the first time or again."""

    drop_id: str
    revision: int
    rows: int


_DROPS = """
with

drops as (
    select
        feed,
        status,
        rows,
        refused,
        business_date <= $previous as late,
        coalesce(list_sum(cast(json_extract(files, '$[*].rows') as bigint[])), 0) as stated
    from ops.drops
    where seq > $seq
)

select
    feed,
    count(*),
    count(*) filter (where status = 'quarantined'),
    count(*) filter (where late),
    cast(sum(stated) as bigint),
    cast(sum(rows) as bigint),
    cast(sum(refused) as bigint),
    cast(sum(greatest(stated - rows - refused, 0)) as bigint)
from drops
group by feed
order by feed desc
"""

_LATE = """
select drop_id, coalesce(revision, 0), rows
from ops.drops
where seq > $seq and business_date <= $previous
order by business_date, drop_id
"""


def missing(window: Window) -> list[tuple[str, date]]:
    """Store-days of the night that settings.yaml expects and no accepted drop brought: source and date."""
    home, night = window.night.home, window.night.business_date
    taken = {drop for (drop,) in window.rows("select drop_id from ops.drops where accepted_revision > 0")}
    nights = (night - window.previous).days if window.previous > BEGINNING else 1
    days = [night - timedelta(days=back) for back in reversed(range(nights))]
    return [(found.source, found.business_date) for found in landing.missing_days(home, days, taken)]


def taken(window: Window) -> list[FeedDrops]:
    """What the night looked at, feed by feed."""
    return window.each(FeedDrops, _DROPS)


def late(window: Window) -> list[Drop]:
    """Drops of earlier nights that came tonight."""
    return window.each(Drop, _LATE)

-- Credits and what is left of each.
-- grain: lot_id, earned_on, usable_from, expires_on
-- why: added up from postings, so that what is left is always what was opened less every piece taken.
with

opened as (
    select
        lot_id,
        card_id,
        program_id,
        reward_point_id,
        earned_on,
        usable_from,
        expires_on,
        min(entry_id) as entry_id,
        min(event_id) as event_id,
        sum(points) as points
    from loyalty.lot_postings
    group by
        lot_id,
        card_id,
        program_id,
        reward_point_id,
        earned_on,
        usable_from,
        expires_on
    having sum(points) <> 0
),

taken as (
    select
        lot_id,
        sum(points) as points
    from loyalty.allocations
    group by lot_id
)

select
    opened.lot_id,
    opened.card_id,
    opened.program_id,
    opened.reward_point_id,
    cast(opened.points as decimal(18, 2)) as points,
    cast(opened.points - coalesce(taken.points, 0) as decimal(18, 2)) as remaining,
    opened.earned_on,
    opened.usable_from,
    opened.expires_on,
    opened.entry_id,
    opened.event_id
from opened
left join taken
    on opened.lot_id = taken.lot_id

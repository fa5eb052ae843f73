-- 4. Every entry traces to an event, and every event came to exactly its points.
with

events as (
    select
        event_id,
        card_id,
        sum(points) as points
    from loyalty.events
    group by
        event_id,
        card_id
    having sum(points) <> 0
),

of_event as (
    select
        event_id,
        sum(points) filter (where coalesce(corrected_type, entry_type) not in ('expire', 'write_off')) as points,
        sum(abs(points)) as moved
    from loyalty.entries
    group by event_id
),

known as (
    select
        event_id,
        sum(points) as points
    from events
    group by event_id
)

select
    coalesce(known.event_id, of_event.event_id) as event_id,
    known.points as of_event,
    of_event.points as of_entries
from known
full outer join of_event
    on known.event_id = of_event.event_id
where
    coalesce(known.points, 0) <> coalesce(of_event.points, 0)

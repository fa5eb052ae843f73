-- 4. Every entry traces to an event, and every event came to exactly its points, or to less where a maximum cuts them.
with

events as (
    select
        event_id,
        card_id,
        bool_or(
            event_type in ('earn', 'return_earned')
            and reward_point_id in (select reward_point_id from programme.reward_points where maximum_h is not null)
        ) as may_be_cut,
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
        bool_or(may_be_cut) as may_be_cut,
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
    and not (
        coalesce(known.may_be_cut, false)
        and coalesce(of_event.points, 0) * sign(known.points) between 0 and abs(known.points)
    )

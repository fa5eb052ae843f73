-- The events of each continuity order from the one it joins at, each repetition a row.
-- grain: parent_order_id, event_no, occurrence
-- why: days 0, 30, 60, joined on day 65 at the current event: from the third on, due the day it was joined.
with

joined as (
    select
        parent_order_id,
        schedule_id,
        started_on
    from landed.continuity_orders
    where drop_date <= $business_date
    qualify row_number() over (
        partition by parent_order_id, schedule_id
        order by drop_date desc, drop_id desc
    ) = 1
),

programs as (
    select *
    from landed.continuity_programs
    where drop_date <= $business_date
    qualify row_number() over (partition by schedule_id order by drop_date desc, drop_id desc) = 1
),

events as (
    select
        schedule_id,
        event_no,
        product_id,
        days_from_start,
        action,
        coalesce(repeat, 0) as repeat,
        coalesce(repeat_days, 0) as repeat_days
    from landed.continuity_events
    where drop_date <= $business_date
    qualify row_number() over (
        partition by schedule_id, event_no
        order by drop_date desc, drop_id desc
    ) = 1
),

beginnings as (
    select
        joined.parent_order_id,
        joined.schedule_id,
        joined.started_on,
        programs.consolidate_missed,
        programs.days_before_delivery,
        programs.repeat_threshold,
        programs.max_child_orders,
        events.event_no as first_event_no,
        events.days_from_start as first_days
    from joined
    inner join programs
        on joined.schedule_id = programs.schedule_id
    inner join events
        on joined.schedule_id = events.schedule_id
    qualify row_number() over (
        partition by joined.parent_order_id, joined.schedule_id
        order by
            case
                when programs.start = 'current'
                and programs.starts_on + cast(events.days_from_start as integer) <= joined.started_on
                    then events.days_from_start
            end desc nulls last,
            case
                when programs.start = 'current'
                and programs.starts_on + cast(events.days_from_start as integer) <= joined.started_on
                    then events.event_no
            end desc nulls last,
            events.days_from_start,
            events.event_no
    ) = 1
),

ends as (
    select
        beginnings.parent_order_id,
        beginnings.schedule_id,
        min(events.event_no) as last_event_no
    from beginnings
    inner join events
        on beginnings.schedule_id = events.schedule_id
        and events.event_no >= beginnings.first_event_no
        and events.action = 'end'
    group by
        beginnings.parent_order_id,
        beginnings.schedule_id
)

select
    beginnings.parent_order_id,
    beginnings.schedule_id,
    events.event_no,
    events.product_id,
    occurrences.occurrence,
    beginnings.consolidate_missed,
    beginnings.max_child_orders,
    beginnings.started_on + cast(
        events.days_from_start - beginnings.first_days + occurrences.occurrence * events.repeat_days as integer
    ) as due_on,
    cast(beginnings.days_before_delivery as integer) as days_before_delivery
from beginnings
inner join events
    on beginnings.schedule_id = events.schedule_id
    and events.event_no >= beginnings.first_event_no
    and events.action <> 'skip'
left join ends
    on beginnings.parent_order_id = ends.parent_order_id
    and beginnings.schedule_id = ends.schedule_id
inner join (
    select unnest(range(0, 1000)) as occurrence
) as occurrences
    on occurrences.occurrence <= least(
        events.repeat, coalesce(beginnings.repeat_threshold, events.repeat)
    )
where
    ends.last_event_no is null
    or events.event_no <= ends.last_event_no

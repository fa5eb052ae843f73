-- For each event that clears a hold the version of its order that it met: the newest of its day, else the first.
-- grain: order_id, judged_on
with

events as (
    select distinct
        order_id,
        event_date as judged_on
    from call_center._hold_events
    where event in ('clear', 'clear_and_submit')
),

orders as (
    select
        order_id,
        drop_id,
        drop_date
    from call_center._order_versions
)

select
    events.order_id,
    events.judged_on,
    orders.drop_id
from events
inner join orders
    on events.order_id = orders.order_id
qualify row_number() over (
    partition by events.order_id, events.judged_on
    order by
        orders.drop_date <= events.judged_on desc,
        case when orders.drop_date <= events.judged_on then orders.drop_date end desc,
        orders.drop_date,
        orders.drop_id desc
) = 1

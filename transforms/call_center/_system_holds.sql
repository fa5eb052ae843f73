-- Holds nobody's event made: those orders come with, and those of their fraud checks.
-- grain: order_id, hold_code, at
-- why: an order is held though no user said so, unless one did by the end of that day.
with

orders as (
    select
        order_id,
        time_zone,
        ordered_at,
        operator_id,
        manual_hold_code
    from call_center._orders
),

fraud_checks as (
    select
        order_id,
        checked_on
    from call_center.fraud_checks
    where held
),

rules as (
    select
        first_day,
        last_day,
        fraud_hold_code
    from call_center._programme
),

events as (
    select
        order_id,
        hold_code,
        "at"
    from landed.hold_events
    where
        event = 'hold'
        and drop_date <= $business_date
),

wanted as (
    select
        order_id,
        manual_hold_code as hold_code,
        ordered_at as "at",
        coalesce(operator_id, 'order') as held_by,
        cast(timezone(time_zone, ordered_at) as date) as day,
        time_zone
    from orders
    where manual_hold_code is not null

    union all

    select
        fraud_checks.order_id,
        rules.fraud_hold_code as hold_code,
        timezone(orders.time_zone, cast(fraud_checks.checked_on + 1 as timestamp)) - interval 1 second as "at",
        'fraud_check' as held_by,
        fraud_checks.checked_on as day,
        orders.time_zone
    from fraud_checks
    inner join orders
        on fraud_checks.order_id = orders.order_id
    inner join rules
        on fraud_checks.checked_on between rules.first_day and rules.last_day
)

select
    wanted.order_id,
    wanted.hold_code,
    wanted."at",
    wanted.held_by
from wanted
left join events
    on wanted.order_id = events.order_id
    and wanted.hold_code = events.hold_code
    and cast(timezone(wanted.time_zone, events."at") as date) <= wanted.day
where events.order_id is null

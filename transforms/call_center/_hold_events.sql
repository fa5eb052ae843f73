-- Landed events on holds of the orders in scope, in their order, with what decides whether they may happen.
-- grain: event_id
with

events as (
    select *
    from landed.hold_events
    where
        drop_date <= $business_date
        and order_id in (select order_id from call_center._scope)
    qualify row_number() over (
        partition by order_id, hold_code, event, "at", "user" order by drop_date, drop_id
    ) = 1
),

kinds as (
    select
        event,
        place
    from call_center._hold_kinds
),

orders as (
    select
        order_id,
        time_zone
    from call_center._orders
),

dated as (
    select
        events.*,
        cast(timezone(coalesce(orders.time_zone, 'UTC'), events."at") as date) as event_date
    from events
    left join orders
        on events.order_id = orders.order_id
),

rules as (
    select
        first_day,
        last_day,
        version,
        default_hold_code,
        manager_role,
        submit_when_cleared
    from call_center._programme
),

holds as (
    select
        version,
        hold_code,
        role
    from programme.holds
),

roles as (
    select distinct
        operator_id,
        role
    from landed.operator_roles
    where drop_date <= $business_date
)

select
    row_number() over (
        order by
            dated.order_id,
            dated."at",
            kinds.place,
            dated."user",
            dated.hold_code nulls first
    ) as event_id,
    dated.order_id,
    coalesce(dated.hold_code, rules.default_hold_code) as hold_code,
    dated.event,
    dated."at",
    dated."user",
    dated.event_date,
    dated.drop_id,
    coalesce(rules.submit_when_cleared, false) as submits,
    managers.operator_id is not null as manager,
    holders.operator_id is not null as clears
from dated
inner join kinds
    on dated.event = kinds.event
left join rules
    on dated.event_date between rules.first_day and rules.last_day
left join holds
    on rules.version = holds.version
    and coalesce(dated.hold_code, rules.default_hold_code) = holds.hold_code
left join roles as managers
    on dated."user" = managers.operator_id
    and rules.manager_role = managers.role
left join roles as holders
    on dated."user" = holders.operator_id
    and holds.role = holders.role

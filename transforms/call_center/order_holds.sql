-- Each time an order was held, by whom, and when and by whom that ended.
-- grain: order_id, hold_code, held_at
-- why: days count to the clearing, else to tonight: held on 1 May and cleared on the 4th is 3.
with

events as (
    select
        order_id,
        hold_code,
        event,
        "at",
        "user",
        false as system
    from call_center.hold_events
    where
        applied
        and order_id in (select order_id from call_center._scope)
),

system_holds as (
    select
        order_id,
        hold_code,
        "at",
        held_by
    from call_center._system_holds
),

kinds as (
    select
        event,
        place,
        clears
    from call_center._hold_kinds
),

all_events as (
    select *
    from events

    union all

    select
        order_id,
        hold_code,
        'hold' as event,
        "at",
        held_by as "user",
        true as system
    from system_holds
),

steps as (
    select
        all_events.*,
        kinds.place,
        kinds.clears
    from all_events
    inner join kinds
        on all_events.event = kinds.event
),

effective as (
    select
        *,
        event = 'hold'
        and coalesce(
            lag(clears) over (partition by order_id, hold_code order by "at", system desc, place, "user"), true
        ) as begins
    from steps
),

numbered as (
    select
        *,
        sum(case when begins then 1 else 0 end) over (
            partition by order_id, hold_code
            order by "at", system desc, place, "user"
            rows between unbounded preceding and current row
        ) as hold_no,
        row_number() over (
            partition by order_id, hold_code
            order by "at", system desc, place, "user"
        ) as step
    from effective
    where begins or event <> 'hold'
),

held as (
    select
        order_id,
        hold_code,
        hold_no,
        min("at") filter (begins) as held_at,
        arg_min("user", step) as held_by,
        arg_max(event, step) as last_event,
        arg_max(clears, step) as cleared,
        arg_max("user", step) as last_user,
        max("at") as last_at
    from numbered
    group by
        order_id,
        hold_code,
        hold_no
),

orders as (
    select
        order_id,
        time_zone
    from call_center._orders
),

rules as (
    select
        first_day,
        last_day,
        version
    from call_center._programme
),

holds as (
    select
        version,
        hold_code,
        release_reservations
    from programme.holds
),

dated as (
    select
        held.*,
        cast(timezone(coalesce(orders.time_zone, 'UTC'), held.held_at) as date) as held_on,
        cast(timezone(coalesce(orders.time_zone, 'UTC'), held.last_at) as date) as last_on
    from held
    left join orders
        on held.order_id = orders.order_id
)

select
    dated.order_id,
    dated.hold_code,
    dated.held_at,
    dated.held_by,
    case when dated.last_event = 'check_out' then dated.last_user end as owner,
    case when dated.cleared then dated.last_at end as cleared_at,
    case when dated.cleared then dated.last_user end as cleared_by,
    date_diff('day', dated.held_on, case when dated.cleared then dated.last_on else $business_date end) as days,
    coalesce(holds.release_reservations, false) as reservations_released
from dated
left join rules
    on dated.held_on between rules.first_day and rules.last_day
left join holds
    on rules.version = holds.version
    and dated.hold_code = holds.hold_code

-- Everything that happens to holds of the orders in scope, in its order: what the state machine takes in.
-- grain: order_id, hold_code, step
with

versions as (
    select
        order_id,
        drop_id,
        judged_on
    from call_center._clearing_versions
),

under as (
    select
        versions.order_id,
        versions.judged_on
    from versions
    inner join call_center._paid as paid
        on versions.order_id = paid.order_id
        and versions.drop_id = paid.drop_id
        and versions.judged_on = paid.judged_on
    where paid.payment_status = 'under'
),

enforced as (
    select
        orders.order_id,
        rules.order_completion and rules.payments_judged as enforced
    from call_center._orders as orders
    inner join programme.call_center as rules
        on orders.version = rules.version
),

steps as (
    select
        events.event_id,
        events.order_id,
        events.hold_code,
        events.event,
        events."at",
        events."user",
        events.submits,
        events.manager,
        events.clears,
        under.order_id is not null and coalesce(enforced.enforced, false) as under,
        false as system
    from call_center._hold_events as events
    left join under
        on events.order_id = under.order_id
        and events.event_date = under.judged_on
    left join enforced
        on events.order_id = enforced.order_id

    union all

    select
        0 as event_id,
        order_id,
        hold_code,
        'hold' as event,
        "at",
        held_by as "user",
        false as submits,
        false as manager,
        false as clears,
        false as under,
        true as system
    from call_center._system_holds
)

select *
from steps
order by order_id, hold_code, "at", system desc, event_id

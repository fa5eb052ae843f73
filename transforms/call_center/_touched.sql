-- Orders to judge tonight: those that tonight's drops bring or used to bring, and open ones that a date or a record of
-- somebody else can change.
-- grain: order_id
-- why: a night costs what came and what it touches; an order that only waits is judged as it was.
with

touched_drops as (
    select drop_id
    from sales._touched_drops
),

waiting as (
    select
        order_id,
        business_date,
        customer_id
    from call_center.order_status
    where status in ('open', 'submitted')
),

records as (
    select drop_id from landed.products
    union
    select drop_id from landed.categories
    union
    select drop_id from landed.channels
    union
    select drop_id from landed.delivery_modes
    union
    select drop_id from landed.source_codes
    union
    select drop_id from landed.operator_roles
    union
    select drop_id from landed.exchange_rates
),

changed_rules as (
    select drop_id as change
    from records
    where drop_id in (select drop_id from touched_drops)

    union

    select decision_id as change
    from ops.decisions
    where
        kind = 'programme_version'
        and seq > $since
),

operations as (
    select
        customer_id,
        async_id
    from landed.customers
    where drop_id in (select drop_id from touched_drops)
),

named as (
    select customer_id
    from operations

    union

    select async_id as customer_id
    from operations
),

changed_customers as (
    select customer_id
    from named

    union

    select account as customer_id
    from call_center._customer_ids
    where customer_id in (select customer_id from named)
),

notice_days as (
    select unnest([first_notice, second_notice, cancel_notice]) as days
    from programme.call_center
    where first_notice is not null
),

dated_payments as (
    select distinct order_id
    from landed.order_payments
    where
        due_on is not null
        or type = 'check'
)

select order_id
from landed.orders
where drop_id in (select drop_id from touched_drops)

union

select order_id
from landed.hold_events
where drop_id in (select drop_id from touched_drops)

union

select order_id
from call_center.hold_events
where drop_id in (select drop_id from touched_drops)

union

select order_id
from call_center.order_status
where drop_id in (select drop_id from touched_drops)

union

select order_id
from waiting
where
    (select count(*) from changed_rules) > 0
    or customer_id in (select customer_id from changed_customers)
    or order_id in (select order_id from dated_payments)

union

select waiting.order_id
from waiting
inner join notice_days
    on waiting.business_date + notice_days.days > $since_date
    and waiting.business_date + notice_days.days <= $business_date

union

select order_id
from call_center.fraud_checks
where checked_on in (select checked_on from call_center._fraud_days)

union

select order_id
from landed.orders
where drop_date in (select checked_on from call_center._fraud_days)

union

select order_id
from call_center._changed_orders

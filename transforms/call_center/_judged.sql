-- Versions of orders whose payment is looked at, each as of a day: the newest, and those that clearing events met.
-- grain: order_id, drop_id, judged_on
with

orders as (
    select
        order_id,
        drop_id,
        currency,
        total_amount,
        version,
        judged_on
    from call_center._orders
),

met as (
    select
        order_id,
        drop_id,
        judged_on
    from call_center._clearing_versions
),

landed_orders as (
    select
        order_id,
        drop_id,
        currency,
        total_amount,
        business_date
    from call_center._order_versions
),

rules as (
    select
        first_day,
        last_day,
        version
    from call_center._programme
)

select
    order_id,
    drop_id,
    judged_on,
    currency,
    total_amount,
    version
from orders

union

select
    met.order_id,
    met.drop_id,
    met.judged_on,
    landed_orders.currency,
    landed_orders.total_amount,
    rules.version
from met
inner join landed_orders
    on met.order_id = landed_orders.order_id
    and met.drop_id = landed_orders.drop_id
left join rules
    on landed_orders.business_date between rules.first_day and rules.last_day

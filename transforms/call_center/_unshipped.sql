-- Orders in scope that are submitted and have a line not shipped that a notice may be about.
-- grain: order_id
with

orders as (
    select
        order_id,
        business_date,
        drop_date,
        version
    from call_center._orders
    where status = 'submitted'
),

waiting as (
    select distinct order_id
    from call_center._lines
    where
        kind <> 'return'
        and shipped_date is null
        and not notice_exempt
),

exempt as (
    select order_id
    from call_center._order_customers
    where notice_exempt
)

select
    orders.order_id,
    orders.business_date,
    orders.drop_date,
    orders.version
from orders
inner join waiting
    on orders.order_id = waiting.order_id
where orders.order_id not in (select order_id from exempt)

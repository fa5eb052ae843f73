-- Where each order stands: paid or not, and whether it may be processed or why not.
-- grain: order_id
with

orders as (
    select *
    from call_center._orders
),

paid as (
    select *
    from call_center._paid
),

reasons as (
    select
        order_id,
        string_agg(reason, '|' order by place) as reasons,
        bool_or(stops) as stops
    from call_center._reasons
    group by order_id
),

customers as (
    select
        order_id,
        warehouse
    from call_center._order_customers
),

modes as (
    select
        mode,
        expedite_code
    from call_center._delivery_modes
)

select
    orders.order_id,
    orders.business_date,
    orders.call_center_id,
    orders.customer_id,
    orders.currency,
    orders.total_amount,
    orders.status,
    paid.payment_status,
    paid.paid,
    paid.due,
    reasons.order_id is null as may_process,
    coalesce(reasons.stops, false) as do_not_process,
    reasons.reasons,
    coalesce(orders.expedite_code, modes.expedite_code) as expedite_code,
    coalesce(orders.warehouse, customers.warehouse, orders.channel_warehouse) as warehouse,
    orders.drop_id
from orders
inner join paid
    on orders.order_id = paid.order_id
    and orders.drop_id = paid.drop_id
    and orders.judged_on = paid.judged_on
left join reasons
    on orders.order_id = reasons.order_id
left join customers
    on orders.order_id = customers.order_id
left join modes
    on orders.delivery_mode = modes.mode

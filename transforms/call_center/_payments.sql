-- Payments of the newest version of each order in scope.
-- grain: order_id, payment_no
with

orders as (
    select
        order_id,
        drop_id,
        currency,
        time_zone
    from call_center._orders
),

payments as (
    select
        order_id,
        drop_id,
        payment_no,
        type,
        amount,
        status,
        paid_at,
        currency,
        decline_count,
        due_on
    from landed.order_payments
)

select
    payments.order_id,
    payments.payment_no,
    payments.type,
    payments.amount,
    payments.status,
    cast(timezone(orders.time_zone, payments.paid_at) as date) as paid_on,
    coalesce(payments.currency, orders.currency) = orders.currency as counted,
    coalesce(payments.decline_count, 0) as decline_count,
    payments.due_on
from orders
inner join payments
    on orders.order_id = payments.order_id
    and orders.drop_id = payments.drop_id

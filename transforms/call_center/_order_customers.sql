-- What the customer of each order in scope may do, as of the day the order is judged.
-- grain: order_id
with

orders as (
    select
        order_id,
        customer_id,
        judged_on
    from call_center._orders
),

customers as (
    select
        account,
        status,
        on_hold,
        allow_on_account,
        installments,
        notice_exempt,
        warehouse,
        valid_from,
        coalesce(valid_to, date '9999-12-31') as valid_to
    from customers.customers
)

select
    orders.order_id,
    customers.status,
    coalesce(customers.on_hold, false) as on_hold,
    coalesce(customers.allow_on_account, false) as allow_on_account,
    coalesce(customers.installments, false) as installments,
    coalesce(customers.notice_exempt, false) as notice_exempt,
    customers.warehouse
from orders
inner join customers
    on orders.customer_id = customers.account
    and orders.judged_on >= customers.valid_from
    and orders.judged_on < customers.valid_to

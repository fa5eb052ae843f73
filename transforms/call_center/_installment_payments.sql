-- Payments with a due date, and whether the order may be paid so.
-- grain: order_id, payment_no
-- why: by card or on account, by a customer and for products that allow installments.
with

payments as (
    select
        order_id,
        payment_no,
        type,
        status,
        decline_count,
        due_on
    from call_center._payments
    where due_on is not null
),

orders as (
    select
        order_id,
        version,
        judged_on
    from call_center._orders
),

customers as (
    select
        order_id,
        installments
    from call_center._order_customers
),

products as (
    select
        order_id,
        bool_and(installments) as installments
    from call_center._lines
    where kind = 'sale'
    group by order_id
),

rules as (
    select
        version,
        decline_limit
    from programme.call_center
)

select
    payments.order_id,
    payments.payment_no,
    payments.due_on,
    payments.type in ('card', 'on_account')
    and coalesce(customers.installments, false)
    and coalesce(products.installments, false) as eligible,
    (payments.due_on < orders.judged_on and payments.status <> 'paid')
    or coalesce(payments.decline_count > rules.decline_limit, false) as review
from payments
inner join orders
    on payments.order_id = orders.order_id
left join customers
    on payments.order_id = customers.order_id
left join products
    on payments.order_id = products.order_id
left join rules
    on orders.version = rules.version

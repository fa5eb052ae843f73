-- The ways in which documents that refunds go back to were paid: orders by their newest version, and receipts.
-- grain: document_id, type
with

orders as (
    select
        order_id,
        drop_id
    from landed.orders
    where drop_date <= $business_date
    qualify row_number() over (partition by order_id order by drop_date desc, drop_id desc) = 1
)

select distinct
    payments.order_id as document_id,
    payments.type
from landed.order_payments as payments
inner join orders
    on payments.order_id = orders.order_id
    and payments.drop_id = orders.drop_id
where
    payments.status = 'paid'
    and payments.amount > 0

union

select distinct
    transaction_id as document_id,
    type
from sales.tenders
where amount > 0

-- Payments in installments, and which of them somebody must look at: overdue, or declined too often.
-- grain: order_id, payment_no
with

payments as (
    select
        order_id,
        payment_no,
        due_on,
        eligible,
        review
    from call_center._installment_payments
)

select
    order_id,
    payment_no,
    due_on,
    review
from payments
where eligible

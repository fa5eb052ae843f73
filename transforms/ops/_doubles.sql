-- Checked receipts that another one of the same store, register, number, date and total came before.
-- grain: transaction_id, drop_id
with

printed as (
    select
        transaction_id,
        drop_id,
        store_id,
        business_date,
        first_value(transaction_id) over (
            partition by business_date, store_id, register_id, transaction_no, total_amount
            order by occurred_at nulls first, transaction_id
        ) as first_id
    from ops._receipt_headers
)

select
    transaction_id,
    drop_id,
    store_id,
    business_date,
    first_id
from printed
where transaction_id <> first_id

-- The first and last number of each register on each day, and its last one on the day before that it worked.
-- grain: store_id, register_id, business_date
with

days as (
    select
        store_id,
        register_id,
        business_date,
        min(transaction_no) as first_no,
        max(transaction_no) as last_no
    from ops._seen_receipts
    where register_id is not null
    group by
        store_id,
        register_id,
        business_date
)

select
    store_id,
    register_id,
    business_date,
    first_no,
    last_no,
    lag(business_date) over (partition by store_id, register_id order by business_date) as day_before,
    lag(last_no) over (partition by store_id, register_id order by business_date) as last_no_before
from days

-- Purchases and returns whose amount is not known for want of a rate, for the due analyses.
-- grain: run, customer_id
-- why: on its own, because there are few or none: to count the amounts of all purchases takes longer. A plain scope has
-- none.
with

runs as (
    select
        run,
        scope,
        as_of,
        period_start,
        period_end
    from rfm._runs
),

receipts as (
    select
        scope,
        customer_id,
        business_date,
        posted_date,
        is_purchase,
        amount
    from rfm._purchases
    where
        not is_plain
        and amount is null
)

select
    runs.run,
    receipts.customer_id,
    count(case when receipts.is_purchase then 1 end) as purchases,
    count(case when receipts.amount is null then 1 end) as receipts
from receipts
inner join runs
    on receipts.scope = runs.scope
    and receipts.business_date between runs.period_start and runs.period_end
    and receipts.posted_date <= runs.as_of
group by
    runs.run,
    receipts.customer_id

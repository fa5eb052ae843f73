-- On how many days each customer bought, for the due analyses whose frequency counts days.
-- grain: run, customer_id
-- why: on its own, because counting distinct days costs more than all else and few definitions ask for it.
with

runs as (
    select
        run,
        scope,
        as_of,
        period_start,
        period_end
    from rfm._runs
    where frequency_counts = 'days'
),

purchases as (
    select
        scope,
        customer_id,
        business_date,
        posted_date
    from rfm._purchases
    where is_purchase
),

purchase_days as (
    select distinct
        runs.run,
        purchases.customer_id,
        purchases.business_date
    from purchases
    inner join runs
        on purchases.scope = runs.scope
        and purchases.business_date between runs.period_start and runs.period_end
        and purchases.posted_date <= runs.as_of
)

select
    run,
    customer_id,
    count(*) as days
from purchase_days
group by
    run,
    customer_id

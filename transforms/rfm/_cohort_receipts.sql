-- What customers bought and gave back ever since, seen from each month's end.
-- grain: run, transaction
-- why: cohorts count months, and count them back from as_of: 0 is the month it lies in.
with

runs as (
    select
        run,
        scope,
        as_of,
        last_day(period_end) as last_day
    from rfm._runs
    where month_end
)

select
    runs.run,
    purchases.customer_id,
    12 * (year(runs.as_of) - year(purchases.business_date))
    + month(runs.as_of) - month(purchases.business_date) as months_ago,
    purchases.is_purchase,
    purchases.amount
from rfm._purchases as purchases
inner join runs
    on purchases.scope = runs.scope
    and purchases.business_date <= runs.as_of
    and purchases.posted_date <= runs.as_of
    and purchases.business_date <= runs.last_day

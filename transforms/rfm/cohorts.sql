-- Customers by the month of their first purchase: how many came back each month after, and what they brought.
-- grain: definition, as_of, cohort_month, month_no
-- why: kept at each month's end. The first purchase is the first ever on these channels, not the first of a rolling
-- period: else old customers would look new. A month nobody came back in is listed with none.
with

runs as (
    select
        run,
        scope,
        definition,
        as_of,
        last_day(period_end) as last_day
    from rfm._runs
    where month_end
),

months as (
    select
        runs.run,
        purchases.customer_id,
        cast(date_trunc('month', purchases.business_date) as date) as month,
        count(case when purchases.is_purchase then 1 end) as purchases,
        coalesce(sum(purchases.amount), 0) as revenue
    from rfm._purchases as purchases
    inner join runs
        on purchases.scope = runs.scope
        and purchases.business_date <= runs.as_of
        and purchases.posted_date <= runs.as_of
        and purchases.business_date <= runs.last_day
    group by
        runs.run,
        purchases.customer_id,
        cast(date_trunc('month', purchases.business_date) as date)
),

first_months as (
    select
        run,
        customer_id,
        min(month) as cohort_month
    from months
    where purchases > 0
    group by
        run,
        customer_id
),

sizes as (
    select
        run,
        cohort_month,
        count(*) as cohort_customers
    from first_months
    group by
        run,
        cohort_month
),

active as (
    select
        months.run,
        first_months.cohort_month,
        12 * (year(months.month) - year(first_months.cohort_month))
        + month(months.month) - month(first_months.cohort_month) as month_no,
        count(case when months.purchases > 0 then 1 end) as customers,
        sum(months.purchases) as purchases,
        sum(months.revenue) as revenue
    from months
    inner join first_months
        on months.run = first_months.run
        and months.customer_id = first_months.customer_id
        and months.month >= first_months.cohort_month
    group by all
),

listed as (
    select
        runs.run,
        runs.definition,
        runs.as_of,
        sizes.cohort_month,
        sizes.cohort_customers,
        unnest(
            generate_series(
                0,
                12 * (year(runs.as_of) - year(sizes.cohort_month)) + month(runs.as_of) - month(sizes.cohort_month)
            )
        ) as month_no
    from sizes
    inner join runs
        on sizes.run = runs.run
)

select
    listed.definition,
    listed.as_of,
    listed.cohort_month,
    listed.month_no,
    listed.cohort_customers,
    coalesce(active.customers, 0) as customers,
    -- half-up in millionths
    cast((2000000 * coalesce(active.customers, 0) + listed.cohort_customers) // (2 * listed.cohort_customers)
        as decimal(18, 0)) * 0.000001 as retention,
    coalesce(active.purchases, 0) as purchases,
    coalesce(active.revenue, 0) as revenue
from listed
left join active
    on listed.run = active.run
    and listed.cohort_month = active.cohort_month
    and listed.month_no = active.month_no

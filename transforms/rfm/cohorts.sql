-- Customers by the month of their first purchase: how many came back each month after, and what they brought.
-- grain: definition, as_of, cohort_month, month_no
-- why: kept at each month's end. The first purchase is the first ever on these channels, not the first of a rolling
-- period: else old customers would look new. A month nobody came back in is listed with none.
with

runs as (
    select
        run,
        definition,
        as_of
    from rfm._runs
    where month_end
),

receipts as (
    select
        run,
        customer_id,
        months_ago,
        is_purchase,
        amount
    from rfm._cohort_receipts
),

customers as (
    select
        run,
        customer_id,
        era,
        months,
        began
    from rfm._cohort_customers
    where began is not null
),

sizes as (
    select
        run,
        began,
        count(*) as cohort_customers
    from customers
    where era = began // 60
    group by
        run,
        began
),

listed as (
    select
        run,
        began,
        cohort_customers,
        unnest(generate_series(0, began)) as months_ago
    from sizes
),

came_back as (
    select
        listed.run,
        listed.began,
        listed.months_ago,
        cast(sum((customers.months >> (listed.months_ago % 60)) & 1) as bigint) as customers
    from customers
    inner join listed
        on customers.run = listed.run
        and customers.began = listed.began
        and customers.era = listed.months_ago // 60
    group by
        listed.run,
        listed.began,
        listed.months_ago
),

-- Also what was given back in a month without a purchase.
brought as (
    select
        receipts.run,
        customers.began,
        receipts.months_ago,
        count(case when receipts.is_purchase then 1 end) as purchases,
        sum(receipts.amount) as revenue
    from receipts
    inner join customers
        on receipts.run = customers.run
        and receipts.customer_id = customers.customer_id
        and receipts.months_ago // 60 = customers.era
        and receipts.months_ago <= customers.began
    group by
        receipts.run,
        customers.began,
        receipts.months_ago
)

select
    runs.definition,
    runs.as_of,
    make_date(
        (12 * year(runs.as_of) + month(runs.as_of) - 1 - listed.began) // 12,
        (12 * year(runs.as_of) + month(runs.as_of) - 1 - listed.began) % 12 + 1,
        1
    ) as cohort_month,
    listed.began - listed.months_ago as month_no,
    listed.cohort_customers,
    coalesce(came_back.customers, 0) as customers,
    -- half-up in millionths
    cast((2000000 * coalesce(came_back.customers, 0) + listed.cohort_customers) // (2 * listed.cohort_customers)
        as decimal(18, 0)) * 0.000001 as retention,
    coalesce(brought.purchases, 0) as purchases,
    coalesce(brought.revenue, 0) as revenue
from listed
inner join runs
    on listed.run = runs.run
left join came_back
    on listed.run = came_back.run
    and listed.began = came_back.began
    and listed.months_ago = came_back.months_ago
left join brought
    on listed.run = brought.run
    and listed.began = brought.began
    and listed.months_ago = brought.months_ago

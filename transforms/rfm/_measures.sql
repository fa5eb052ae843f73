-- Recency, frequency and money of each customer in the run at work.
-- grain: run, customer_id
-- why: one run at a time, its dates written into the statement: files of other months are not opened and customers
-- are grouped by nothing but themselves. Only customers with a purchase in the period have a row;
-- returns count for money alone, where the definition says so. Facts that came after as_of do not count, so that a
-- run over many dates gives what night after night gives. The average is of the purchases whose amount is known. No
-- scores yet: r, f and m.
with

runs as (
    select
        run,
        as_of,
        monetary,
        recency_unit
    from rfm._runs
    where run = $run
),

purchases as (
    select
        customer_id,
        business_date,
        is_purchase,
        amount
    from rfm._purchases
    where
        scope = $scope
        and business_date between $period_start and $period_end
        and posted_date <= $as_of
),

customers as (
    select
        cast($run as bigint) as run,
        customer_id,
        max(case when is_purchase then business_date end) as last_purchase_on,
        count(case when is_purchase then 1 end) as purchases,
        cast(coalesce(sum(amount), 0) as decimal(18, 2)) as total
    from purchases
    group by customer_id
    having count(case when is_purchase then 1 end) > 0
),

days as (
    select
        run,
        customer_id,
        days
    from rfm._purchase_days
),

without_rate as (
    select
        run,
        customer_id,
        purchases,
        receipts
    from rfm._without_rate
),

priced as (
    select
        customers.run,
        customers.customer_id,
        customers.last_purchase_on,
        customers.purchases,
        customers.total,
        customers.purchases - coalesce(without_rate.purchases, 0) as priced,
        coalesce(without_rate.receipts, 0) as without_rate
    from customers
    left join without_rate
        on customers.run = without_rate.run
        and customers.customer_id = without_rate.customer_id
),

averages as (
    select
        run,
        customer_id,
        last_purchase_on,
        purchases,
        total as monetary_total,
        -- half-up in whole cents: a division of decimals would be a float
        cast(
            sign(total) * ((2 * cast(abs(total) * 100 as bigint) + priced) // (2 * greatest(priced, 1)))
            as decimal(18, 0)
        ) * 0.01 as monetary_average,
        without_rate
    from priced
)

select
    averages.run,
    averages.customer_id,
    averages.last_purchase_on,
    case runs.recency_unit
        when 'week' then date_diff('day', averages.last_purchase_on, runs.as_of) // 7
        -- completed months: a month is complete on the same day of a later month, or on its last day
        when 'month' then
            12 * (year(runs.as_of) - year(averages.last_purchase_on))
            + month(runs.as_of) - month(averages.last_purchase_on)
            - case
                when day(runs.as_of) < day(averages.last_purchase_on) and runs.as_of < last_day(runs.as_of) then 1
                else 0
            end
        else date_diff('day', averages.last_purchase_on, runs.as_of)
    end as recency,
    coalesce(days.days, averages.purchases) as frequency,
    averages.monetary_total,
    cast(averages.monetary_average as decimal(18, 2)) as monetary_average,
    case
        when runs.monetary = 'average' then cast(averages.monetary_average as decimal(18, 2))
        else averages.monetary_total
    end as monetary,
    averages.purchases,
    averages.without_rate,
    cast(null as integer) as r,
    cast(null as integer) as f,
    cast(null as integer) as m
from averages
inner join runs
    on averages.run = runs.run
left join days
    on averages.run = days.run
    and averages.customer_id = days.customer_id

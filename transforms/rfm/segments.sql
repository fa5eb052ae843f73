-- Each segment on each date of each definition: how many, how much, and how that moved since the date before.
-- grain: definition, as_of, segment
-- why: every segment of the map is listed, also those that are empty.
with

runs as (
    select
        run,
        definition,
        version,
        as_of
    from rfm._runs
),

mapped as (
    select distinct
        definition,
        version,
        segment
    from programme.rfm_segments
),

earlier as (
    select
        definition,
        as_of,
        segment,
        customers
    from rfm.segments
    where as_of not in (select as_of from runs)
),

listed as (
    select
        runs.run,
        runs.definition,
        runs.as_of,
        mapped.segment
    from runs
    inner join mapped
        on runs.definition = mapped.definition
        and runs.version = mapped.version
),

totals as (
    select
        run,
        count(*) as customers
    from rfm._segmented
    group by run
),

summed as (
    select
        run,
        segment,
        count(*) as customers,
        sum(purchases) as purchases,
        sum(monetary_total) as revenue,
        sum(without_rate) as without_rate,
        -- medians, exactly: halfway between the lower and the upper one, which is the lower one from above
        cast(
            (
                percentile_disc(0.5) within group (order by recency)
                + percentile_disc(0.5) within group (order by recency desc)
            ) * 0.5
            as decimal(18, 2)
        ) as median_recency,
        cast(
            (
                percentile_disc(0.5) within group (order by frequency)
                + percentile_disc(0.5) within group (order by frequency desc)
            ) * 0.5
            as decimal(18, 2)
        ) as median_frequency,
        cast(
            (
                percentile_disc(0.5) within group (order by monetary_total)
                + percentile_disc(0.5) within group (order by monetary_total desc)
            ) * 0.5
            as decimal(18, 2)
        ) as median_monetary
    from rfm._segmented
    group by
        run,
        segment
),

counted as (
    select
        listed.run,
        listed.definition,
        listed.as_of,
        listed.segment,
        coalesce(summed.customers, 0) as customers,
        coalesce(totals.customers, 0) as population,
        coalesce(summed.purchases, 0) as purchases,
        coalesce(summed.revenue, 0) as revenue,
        summed.median_recency,
        summed.median_frequency,
        summed.median_monetary,
        coalesce(summed.without_rate, 0) as without_rate
    from listed
    left join summed
        on listed.run = summed.run
        and listed.segment = summed.segment
    left join totals
        on listed.run = totals.run
),

known as (
    select
        definition,
        as_of,
        segment,
        customers
    from counted

    union all

    select
        definition,
        as_of,
        segment,
        customers
    from earlier
),

dates_before as (
    select
        runs.run,
        max(known.as_of) as previous_as_of
    from runs
    inner join known
        on runs.definition = known.definition
        and runs.as_of > known.as_of
    group by runs.run
)

select
    counted.definition,
    counted.as_of,
    counted.segment,
    counted.customers,
    -- half-up in millionths
    cast((2000000 * counted.customers + counted.population) // nullif(2 * counted.population, 0) as decimal(18, 0))
    * 0.000001 as share,
    counted.purchases,
    counted.revenue,
    counted.median_recency,
    counted.median_frequency,
    counted.median_monetary,
    dates_before.previous_as_of,
    case
        when dates_before.previous_as_of is not null then counted.customers - coalesce(known.customers, 0)
    end as customers_change,
    counted.without_rate
from counted
left join dates_before
    on counted.run = dates_before.run
left join known
    on counted.definition = known.definition
    and dates_before.previous_as_of = known.as_of
    and counted.segment = known.segment

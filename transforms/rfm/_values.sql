-- Each value that occurs in a group of the level at work, with how many customers have it and how many have less.
-- grain: run, measure, above, value
-- why: equal values share their place, so ranks and quantiles need the values, not the customers.
with

counted as (
    select
        run,
        'recency' as measure,
        recency_above as above,
        cast(recency as decimal(18, 2)) as value,
        count(*) as customers
    from rfm._graded
    where recency_above is not null
    group by
        run,
        recency_above,
        recency

    union all

    select
        run,
        'frequency' as measure,
        frequency_above as above,
        cast(frequency as decimal(18, 2)) as value,
        count(*) as customers
    from rfm._graded
    where frequency_above is not null
    group by
        run,
        frequency_above,
        frequency

    union all

    select
        run,
        'monetary' as measure,
        monetary_above as above,
        cast(monetary as decimal(18, 2)) as value,
        count(*) as customers
    from rfm._graded
    where monetary_above is not null
    group by
        run,
        monetary_above,
        monetary
)

select
    run,
    measure,
    above,
    value,
    customers,
    cast(
        sum(customers) over (
            partition by run, measure, above
            order by value
            rows between unbounded preceding and current row
        ) as bigint
    ) - customers as less,
    cast(sum(customers) over (partition by run, measure, above) as bigint) as population
from counted

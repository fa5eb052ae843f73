-- Each value that occurs in a group, with how many customers have it and how many have less.
-- grain: run, measure, within, value
-- why: equal values share their place, so ranks and quantiles need the values, not the customers.
with

counted as (
    select
        run,
        measure,
        within,
        value,
        count(*) as customers
    from rfm._to_score
    group by
        run,
        measure,
        within,
        value
)

select
    run,
    measure,
    within,
    value,
    customers,
    cast(
        sum(customers) over (
            partition by run, measure, within
            order by value
            rows between unbounded preceding and current row
        ) as bigint
    ) - customers as less,
    cast(sum(customers) over (partition by run, measure, within) as bigint) as population
from counted

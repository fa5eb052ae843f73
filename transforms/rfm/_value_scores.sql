-- The score of each value of the level at work, or, by `even`, those of its first and its last customer.
-- grain: run, measure, above, value
-- why: one rule for each binning (spec: 5-rfm.md), in integers. All but `even` score the value, so equal values score
-- equally; `even` cuts the customers, worst first, into runs of equal length, also through ties.
with

options as (
    select
        run,
        measure,
        binning,
        divisions
    from rfm._options
),

cuts as (
    select
        run,
        measure,
        above,
        cut
    from rfm._level_cuts
),

-- Long ago is worse, seldom and little are worse.
ranked as (
    select
        listed.run,
        listed.measure,
        listed.above,
        listed.value,
        listed.customers,
        listed.population,
        case listed.measure
            when 'recency' then listed.population - listed.less - listed.customers
            else listed.less
        end as worse,
        options.binning,
        options.divisions
    from rfm._values as listed
    inner join options
        on listed.run = options.run
        and listed.measure = options.measure
),

by_rank as (
    select
        run,
        measure,
        above,
        value,
        customers,
        least(divisions, 1 + divisions * (2 * worse + customers) // (2 * population)) as score
    from ranked
    where binning = 'midrank'
),

by_cut as (
    select
        ranked.run,
        ranked.measure,
        ranked.above,
        ranked.value,
        ranked.customers,
        case ranked.measure
            when 'recency' then ranked.divisions - count(cuts.cut)
            else 1 + count(cuts.cut)
        end as score
    from ranked
    left join cuts
        on ranked.run = cuts.run
        and ranked.measure = cuts.measure
        and ranked.above = cuts.above
        and ranked.value >= cuts.cut
    where ranked.binning in ('quantile', 'fixed')
    group by
        ranked.run,
        ranked.measure,
        ranked.above,
        ranked.value,
        ranked.customers,
        ranked.divisions
),

in_line as (
    select
        run,
        measure,
        above,
        value,
        customers,
        worse,
        population // divisions as length,
        population % divisions as longer
    from ranked
    where binning = 'even'
)

select
    run,
    measure,
    above,
    value,
    customers,
    cast(score as integer) as score,
    cast(score as integer) as last_score,
    cast(null as bigint) as worse,
    cast(null as bigint) as length,
    cast(null as bigint) as longer
from by_rank

union all

select
    run,
    measure,
    above,
    value,
    customers,
    cast(score as integer) as score,
    cast(score as integer) as last_score,
    cast(null as bigint) as worse,
    cast(null as bigint) as length,
    cast(null as bigint) as longer
from by_cut

union all

select
    run,
    measure,
    above,
    value,
    customers,
    cast(
        case
            when worse < longer * (length + 1) then 1 + worse // (length + 1)
            else 1 + longer + (worse - longer * (length + 1)) // nullif(length, 0)
        end as integer
    ) as score,
    cast(
        case
            when worse + customers - 1 < longer * (length + 1) then 1 + (worse + customers - 1) // (length + 1)
            else 1 + longer + (worse + customers - 1 - longer * (length + 1)) // nullif(length, 0)
        end as integer
    ) as last_score,
    worse,
    length,
    longer
from in_line

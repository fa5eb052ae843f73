-- The scores of the level at work.
-- grain: run, measure, customer_id
-- why: one rule for each binning (spec: 5-rfm.md), in integers. All but `even` score the value, so equal values
-- score equally; `even` cuts the customers, worst first, into runs of equal length, also through ties.
with

options as (
    select
        run,
        measure,
        binning,
        divisions
    from rfm._options
),

to_score as (
    select
        run,
        level,
        measure,
        within,
        customer_id,
        value
    from rfm._to_score
),

cuts as (
    select
        run,
        measure,
        within,
        cut
    from rfm._level_cuts
),

-- Long ago is worse, seldom and little are worse.
ranked as (
    select
        listed.run,
        listed.measure,
        listed.within,
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
        within,
        value,
        least(divisions, 1 + divisions * (2 * worse + customers) // (2 * population)) as score
    from ranked
    where binning = 'midrank'
),

by_cut as (
    select
        ranked.run,
        ranked.measure,
        ranked.within,
        ranked.value,
        case ranked.measure
            when 'recency' then ranked.divisions - count(cuts.cut)
            else 1 + count(cuts.cut)
        end as score
    from ranked
    left join cuts
        on ranked.run = cuts.run
        and ranked.measure = cuts.measure
        and ranked.within = cuts.within
        and ranked.value >= cuts.cut
    where ranked.binning in ('quantile', 'fixed')
    group by
        ranked.run,
        ranked.measure,
        ranked.within,
        ranked.value,
        ranked.divisions
),

by_value as (
    select * from by_rank
    union all
    select * from by_cut
),

in_line as (
    select
        to_score.run,
        to_score.level,
        to_score.measure,
        to_score.within,
        to_score.customer_id,
        to_score.value,
        ranked.divisions,
        ranked.population // ranked.divisions as length,
        ranked.population % ranked.divisions as longer,
        ranked.worse - 1 + row_number() over (
            partition by to_score.run, to_score.measure, to_score.within, to_score.value
            order by to_score.customer_id
        ) as place
    from to_score
    inner join ranked
        on to_score.run = ranked.run
        and to_score.measure = ranked.measure
        and to_score.within = ranked.within
        and to_score.value = ranked.value
    where ranked.binning = 'even'
)

select
    to_score.run,
    to_score.level,
    to_score.measure,
    to_score.within,
    to_score.customer_id,
    to_score.value,
    cast(by_value.score as integer) as score
from to_score
inner join by_value
    on to_score.run = by_value.run
    and to_score.measure = by_value.measure
    and to_score.within = by_value.within
    and to_score.value = by_value.value

union all

select
    run,
    level,
    measure,
    within,
    customer_id,
    value,
    cast(
        case
            when place < longer * (length + 1) then 1 + place // (length + 1)
            else 1 + longer + (place - longer * (length + 1)) // nullif(length, 0)
        end as integer
    ) as score
from in_line

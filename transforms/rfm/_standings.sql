-- Each value that occurs in a group on each date of a pair, with how many customers have it.
-- grain: run, side, measure, within, value, tie
-- why: an imagined value is scored among these. `tie` is the customer where equal values are told apart by customer
-- (even), else empty.
with

options as (
    select
        run,
        side,
        measure,
        binning,
        level
    from rfm._pair_options
),

levels as (
    select
        run,
        side,
        max(case measure when 'recency' then level end) as recency,
        max(case measure when 'frequency' then level end) as frequency,
        max(case measure when 'monetary' then level end) as monetary
    from options
    group by
        run,
        side
),

scores as (
    select
        run,
        side,
        customer_id,
        recency,
        frequency,
        monetary,
        r,
        f,
        m
    from rfm._pair_scores
)

select
    options.run,
    options.side,
    options.measure,
    trim(
        case when levels.recency < options.level then 'R' || scores.r else '' end
        || case when levels.frequency < options.level then ' F' || scores.f else '' end
        || case when levels.monetary < options.level then ' M' || scores.m else '' end
    ) as within,
    case options.measure
        when 'recency' then cast(scores.recency as decimal(18, 2))
        when 'frequency' then cast(scores.frequency as decimal(18, 2))
        else scores.monetary
    end as value,
    case options.binning when 'even' then scores.customer_id else '' end as tie,
    count(*) as customers
from options
inner join levels
    on options.run = levels.run
    and options.side = levels.side
inner join scores
    on options.run = scores.run
    and options.side = scores.side
group by all

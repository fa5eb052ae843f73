-- What each mover had of each measure on both dates, and in which group it was scored.
-- grain: run, mover, side, measure
-- why: imagined cases take one of the two values and are scored on one of the two dates.
with

options as (
    select
        run,
        side,
        measure,
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

moves as (
    select
        run,
        mover,
        customer_id
    from rfm._moves
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
    moves.run,
    moves.mover,
    moves.customer_id,
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
    end as value
from moves
inner join scores
    on moves.run = scores.run
    and moves.customer_id = scores.customer_id
inner join options
    on scores.run = options.run
    and scores.side = options.side
inner join levels
    on options.run = levels.run
    and options.side = levels.side

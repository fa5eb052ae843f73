-- Whether each combination alone would have brought each mover into the segment it is in now.
-- grain: run, mover, combination
-- why: what is shared out is this one step, from 0 with nothing new to 1 with everything new.
with

moves as (
    select
        run,
        mover,
        to_segment
    from rfm._moves
),

combinations as (
    select
        combination,
        side
    from rfm._combinations
),

options as (
    select
        run,
        side,
        definition,
        version,
        measure,
        decided_by,
        divisions
    from rfm._pair_options
),

imagined as (
    select
        run,
        mover,
        combination,
        measure,
        score
    from rfm._imagined
),

segments as (
    select
        definition,
        version,
        r,
        f,
        m,
        segment
    from programme.rfm_segments
),

-- On a scale of five, as in rfm.scores.
scaled as (
    select
        imagined.run,
        imagined.mover,
        imagined.combination,
        imagined.measure,
        options.definition,
        options.version,
        1 + (8 * (imagined.score - 1) + options.divisions - 1) // (2 * (options.divisions - 1)) as score
    from imagined
    inner join combinations
        on imagined.combination = combinations.combination
    inner join options
        on imagined.run = options.run
        and imagined.measure = options.measure
        and combinations.side = options.side
),

by_measure as (
    select
        options.run,
        options.definition,
        options.version,
        combinations.combination,
        max(case options.measure when 'recency' then combinations.combination & options.decided_by end) as recency,
        max(case options.measure when 'frequency' then combinations.combination & options.decided_by end) as frequency,
        max(case options.measure when 'monetary' then combinations.combination & options.decided_by end) as monetary
    from options
    inner join combinations
        on options.side = combinations.side
    group by
        options.run,
        options.definition,
        options.version,
        combinations.combination
)

select
    moves.run,
    moves.mover,
    by_measure.combination,
    segments.segment,
    case when segments.segment = moves.to_segment then 1 else 0 end as arrived
from moves
inner join by_measure
    on moves.run = by_measure.run
inner join scaled as recency
    on moves.run = recency.run
    and moves.mover = recency.mover
    and recency.measure = 'recency'
    and by_measure.recency = recency.combination
inner join scaled as frequency
    on moves.run = frequency.run
    and moves.mover = frequency.mover
    and frequency.measure = 'frequency'
    and by_measure.frequency = frequency.combination
inner join scaled as monetary
    on moves.run = monetary.run
    and moves.mover = monetary.mover
    and monetary.measure = 'monetary'
    and by_measure.monetary = monetary.combination
inner join segments
    on by_measure.definition = segments.definition
    and by_measure.version = segments.version
    and recency.score = segments.r
    and frequency.score = segments.f
    and monetary.score = segments.m

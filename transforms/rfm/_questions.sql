-- The imagined cases of the level at work: which value of which mover is to be scored among whom.
-- grain: run, mover, combination, measure
-- why: as in scoring, a measure of lower priority is scored within the group that those above it make, here the
-- imagined group. Combinations that differ only in what does not decide this score are asked once.
with

options as (
    select
        run,
        side,
        measure,
        bit,
        decided_by,
        level
    from rfm._pair_options
),

at_work as (
    select
        run,
        side,
        measure,
        bit,
        decided_by,
        level
    from options
    where level = (select coalesce(max(level), 0) + 1 from rfm._imagined)
),

combinations as (
    select
        combination,
        side
    from rfm._combinations
),

movers as (
    select
        run,
        mover,
        customer_id,
        side,
        measure,
        within,
        value
    from rfm._movers
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

asked as (
    select
        at_work.run,
        at_work.side,
        at_work.measure,
        at_work.level,
        combinations.combination,
        case when combinations.combination & at_work.bit > 0 then 'new' else 'old' end as value_side
    from at_work
    inner join combinations
        on at_work.side = combinations.side
        and combinations.combination & at_work.decided_by = combinations.combination
),

above as (
    select
        asked.run,
        asked.combination,
        asked.measure,
        imagined.mover,
        trim(
            max(case imagined.measure when 'recency' then 'R' || imagined.score else '' end)
            || max(case imagined.measure when 'frequency' then ' F' || imagined.score else '' end)
            || max(case imagined.measure when 'monetary' then ' M' || imagined.score else '' end)
        ) as within
    from asked
    inner join options
        on asked.run = options.run
        and asked.side = options.side
        and asked.level > options.level
    inner join imagined
        on options.run = imagined.run
        and options.measure = imagined.measure
        and asked.combination & options.decided_by = imagined.combination
    group by
        asked.run,
        asked.combination,
        asked.measure,
        imagined.mover
)

select
    asked.run,
    asked.side,
    asked.measure,
    asked.level,
    asked.combination,
    imagined_value.mover,
    imagined_value.customer_id,
    coalesce(above.within, '') as within,
    imagined_value.value,
    own.value as own_value,
    own.within = coalesce(above.within, '') as belongs
from asked
inner join movers as imagined_value
    on asked.run = imagined_value.run
    and asked.measure = imagined_value.measure
    and asked.value_side = imagined_value.side
inner join movers as own
    on imagined_value.run = own.run
    and imagined_value.mover = own.mover
    and imagined_value.measure = own.measure
    and asked.side = own.side
left join above
    on asked.run = above.run
    and asked.combination = above.combination
    and asked.measure = above.measure
    and imagined_value.mover = above.mover

-- What each score stands for, on each date of each definition: its cuts, the values it took in, its customers.
-- grain: definition, as_of, measure, within, score
-- why: so that any score can be explained later; a score nobody has is listed too, with no customers (collapsed).
-- A measure of lower priority is scored within the groups of those above it: R5, R5 F3; empty is among all.
with

options as (
    select
        run,
        measure,
        divisions
    from rfm._options
),

runs as (
    select
        run,
        definition,
        as_of
    from rfm._runs
),

cuts as (
    select
        run,
        measure,
        above,
        cut_no,
        cut
    from rfm._cuts
),

scored as (
    select
        run,
        measure,
        above,
        score,
        lowest,
        highest,
        customers
    from rfm._bounds
),

numbers as (
    select score
    from (values (1), (2), (3), (4), (5), (6), (7), (8), (9)) as listed (score)
),

groups as (
    select distinct
        run,
        measure,
        above
    from scored
),

-- The number of the cut a value has reached, and of the next; recency is reversed, fewer is better.
bounds as (
    select
        groups.run,
        groups.measure,
        groups.above,
        numbers.score,
        case groups.measure when 'recency' then options.divisions - numbers.score else numbers.score - 1 end as reached
    from groups
    inner join options
        on groups.run = options.run
        and groups.measure = options.measure
    inner join numbers
        on options.divisions >= numbers.score
)

select
    runs.definition,
    runs.as_of,
    bounds.measure,
    trim(
        case when bounds.above >= 100 then 'R' || bounds.above // 100 else '' end
        || case when bounds.above % 100 >= 10 then ' F' || bounds.above % 100 // 10 else '' end
        || case when bounds.above % 10 >= 1 then ' M' || bounds.above % 10 else '' end
    ) as within,
    bounds.score,
    cuts.cut as at_least,
    next_cuts.cut as below,
    scored.lowest,
    scored.highest,
    coalesce(scored.customers, 0) as customers
from bounds
inner join runs
    on bounds.run = runs.run
left join cuts
    on bounds.run = cuts.run
    and bounds.measure = cuts.measure
    and bounds.above = cuts.above
    and bounds.reached = cuts.cut_no
left join cuts as next_cuts
    on bounds.run = next_cuts.run
    and bounds.measure = next_cuts.measure
    and bounds.above = next_cuts.above
    and bounds.reached + 1 = next_cuts.cut_no
left join scored
    on bounds.run = scored.run
    and bounds.measure = scored.measure
    and bounds.above = scored.above
    and bounds.score = scored.score

-- The values of the next level to be scored, each customer in the group that the levels before have made.
-- grain: run, measure, customer_id
-- why: a measure of lower priority is scored within the groups of those above it; `within` names the group by
-- their scores (R5, R5 F3) and is empty where a measure is scored among all.
with

options as (
    select
        run,
        measure,
        level
    from rfm._options
    where level = (select coalesce(max(level), 0) + 1 from rfm._scored)
),

measures as (
    select
        run,
        customer_id,
        recency,
        frequency,
        monetary
    from rfm._measures
),

groups as (
    select
        run,
        customer_id,
        trim(
            max(case measure when 'recency' then 'R' || score else '' end)
            || max(case measure when 'frequency' then ' F' || score else '' end)
            || max(case measure when 'monetary' then ' M' || score else '' end)
        ) as within
    from rfm._scored
    where run in (select run from options)
    group by
        run,
        customer_id
)

select
    options.run,
    options.level,
    options.measure,
    coalesce(groups.within, '') as within,
    measures.customer_id,
    case options.measure
        when 'recency' then cast(measures.recency as decimal(18, 2))
        when 'frequency' then cast(measures.frequency as decimal(18, 2))
        else measures.monetary
    end as value
from options
inner join measures
    on options.run = measures.run
left join groups
    on measures.run = groups.run
    and measures.customer_id = groups.customer_id

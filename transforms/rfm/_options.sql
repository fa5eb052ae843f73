-- What each due analysis says of each of its measures.
-- grain: run, measure
-- why: the scoring is the same for all three, so it reads them as rows; the measures of the highest priority
-- present have level 1 and are scored first, those of the next within the groups these made, and so on.
with

runs as (
    select
        run,
        definition,
        version,
        binning,
        cut_offset,
        divisions_recency,
        divisions_frequency,
        divisions_monetary,
        priority_recency,
        priority_frequency,
        priority_monetary
    from rfm._runs
),

measures as (
    select
        run,
        definition,
        version,
        binning,
        cut_offset,
        'recency' as measure,
        divisions_recency as divisions,
        priority_recency as priority
    from runs

    union all

    select
        run,
        definition,
        version,
        binning,
        cut_offset,
        'frequency' as measure,
        divisions_frequency as divisions,
        priority_frequency as priority
    from runs

    union all

    select
        run,
        definition,
        version,
        binning,
        cut_offset,
        'monetary' as measure,
        divisions_monetary as divisions,
        priority_monetary as priority
    from runs
)

select
    run,
    measure,
    definition,
    version,
    binning,
    cut_offset,
    cast(divisions as bigint) as divisions,
    dense_rank() over (
        partition by run
        order by case priority when 'high' then 1 when 'medium' then 2 else 3 end
    ) as level
from measures

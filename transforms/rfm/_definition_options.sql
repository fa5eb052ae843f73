-- What each definition says of each of its measures.
-- grain: version, definition, measure
-- why: scoring is the same for all three, so it reads them as rows; the measures of the highest priority present
-- have level 1 and are scored first, those of the next within the groups these made, and so on.
with

definitions as (
    select
        version,
        definition,
        binning,
        cut_offset,
        divisions_recency,
        divisions_frequency,
        divisions_monetary,
        priority_recency,
        priority_frequency,
        priority_monetary
    from programme.rfm_definitions
),

measures as (
    select
        version,
        definition,
        binning,
        cut_offset,
        'recency' as measure,
        1 as bit,
        divisions_recency as divisions,
        priority_recency as priority
    from definitions

    union all

    select
        version,
        definition,
        binning,
        cut_offset,
        'frequency' as measure,
        2 as bit,
        divisions_frequency as divisions,
        priority_frequency as priority
    from definitions

    union all

    select
        version,
        definition,
        binning,
        cut_offset,
        'monetary' as measure,
        4 as bit,
        divisions_monetary as divisions,
        priority_monetary as priority
    from definitions
)

select
    version,
    definition,
    measure,
    bit,
    binning,
    cut_offset,
    cast(divisions as bigint) as divisions,
    dense_rank() over (
        partition by version, definition
        order by case priority when 'high' then 1 when 'medium' then 2 else 3 end
    ) as level
from measures

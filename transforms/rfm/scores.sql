-- The RFM scores of each customer, on each date of each definition.
-- grain: definition, as_of, customer_id
-- why: r, f and m are the scores before multipliers; the segment is looked up on a scale of five, whatever the
-- number of divisions.
with

runs as (
    select
        run,
        definition,
        version,
        as_of,
        divisions_recency,
        divisions_frequency,
        divisions_monetary,
        multiplier_recency,
        multiplier_frequency,
        multiplier_monetary,
        composite
    from rfm._runs
),

measures as (
    select
        run,
        customer_id,
        last_purchase_on,
        recency,
        frequency,
        monetary_total,
        monetary_average
    from rfm._measures
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

side_by_side as (
    select
        run,
        customer_id,
        max(case measure when 'recency' then score end) as r,
        max(case measure when 'frequency' then score end) as f,
        max(case measure when 'monetary' then score end) as m
    from rfm._scored
    group by
        run,
        customer_id
),

-- On a scale of five: 1 + (score - 1) 4 / (divisions - 1), half-up.
weighed as (
    select
        side_by_side.run,
        side_by_side.customer_id,
        side_by_side.r,
        side_by_side.f,
        side_by_side.m,
        side_by_side.r * runs.multiplier_recency as weighed_r,
        side_by_side.f * runs.multiplier_frequency as weighed_f,
        side_by_side.m * runs.multiplier_monetary as weighed_m,
        1 + (8 * (side_by_side.r - 1) + runs.divisions_recency - 1) // (2 * (runs.divisions_recency - 1)) as r5,
        1 + (8 * (side_by_side.f - 1) + runs.divisions_frequency - 1) // (2 * (runs.divisions_frequency - 1)) as f5,
        1 + (8 * (side_by_side.m - 1) + runs.divisions_monetary - 1) // (2 * (runs.divisions_monetary - 1)) as m5
    from side_by_side
    inner join runs
        on side_by_side.run = runs.run
)

select
    runs.definition,
    runs.as_of,
    weighed.customer_id,
    measures.last_purchase_on,
    measures.recency,
    measures.frequency,
    measures.monetary_total,
    measures.monetary_average,
    weighed.r,
    weighed.f,
    weighed.m,
    case runs.composite
        when 'sum' then weighed.weighed_r + weighed.weighed_f + weighed.weighed_m
        else 100 * weighed.weighed_r + 10 * weighed.weighed_f + weighed.weighed_m
    end as composite,
    segments.segment
from weighed
inner join runs
    on weighed.run = runs.run
inner join measures
    on weighed.run = measures.run
    and weighed.customer_id = measures.customer_id
left join segments
    on runs.definition = segments.definition
    and runs.version = segments.version
    and weighed.r5 = segments.r
    and weighed.f5 = segments.f
    and weighed.m5 = segments.m

-- The RFM scores of each customer, on each date of each definition.
-- grain: definition, as_of, customer_id
-- why: r, f and m are the scores before multipliers.
with

runs as (
    select
        run,
        multiplier_recency,
        multiplier_frequency,
        multiplier_monetary,
        composite
    from rfm._runs
)

select
    segmented.definition,
    segmented.as_of,
    segmented.customer_id,
    segmented.last_purchase_on,
    segmented.recency,
    segmented.frequency,
    segmented.monetary_total,
    segmented.monetary_average,
    segmented.r,
    segmented.f,
    segmented.m,
    case runs.composite
        when 'sum' then
            segmented.r * runs.multiplier_recency
            + segmented.f * runs.multiplier_frequency
            + segmented.m * runs.multiplier_monetary
        else
            100 * segmented.r * runs.multiplier_recency
            + 10 * segmented.f * runs.multiplier_frequency
            + segmented.m * runs.multiplier_monetary
    end as composite,
    segmented.segment
from rfm._segmented as segmented
inner join runs
    on segmented.run = runs.run

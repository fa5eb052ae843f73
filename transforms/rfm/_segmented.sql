-- Each scored customer with the segment the scores have on the map.
-- grain: run, customer_id
-- why: the segment is looked up on a scale of five, whatever the number of divisions: 1 + (score - 1) 4 / (divisions - 1),
-- half-up.
with

runs as (
    select
        run,
        definition,
        version,
        as_of,
        divisions_recency,
        divisions_frequency,
        divisions_monetary
    from rfm._runs
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

numbers as (
    select score
    from (values (1), (2), (3), (4), (5), (6), (7), (8), (9)) as listed (score)
),

-- Every triple of scores of a run, so that a customer's is found by the scores as they are.
triples as (
    select
        runs.run,
        runs.definition,
        runs.as_of,
        recency.score as r,
        frequency.score as f,
        monetary.score as m,
        segments.segment
    from runs
    inner join numbers as recency
        on runs.divisions_recency >= recency.score
    inner join numbers as frequency
        on runs.divisions_frequency >= frequency.score
    inner join numbers as monetary
        on runs.divisions_monetary >= monetary.score
    left join segments
        on runs.definition = segments.definition
        and runs.version = segments.version
        and 1 + (8 * (recency.score - 1) + runs.divisions_recency - 1) // (2 * (runs.divisions_recency - 1))
        = segments.r
        and 1 + (8 * (frequency.score - 1) + runs.divisions_frequency - 1) // (2 * (runs.divisions_frequency - 1))
        = segments.f
        and 1 + (8 * (monetary.score - 1) + runs.divisions_monetary - 1) // (2 * (runs.divisions_monetary - 1))
        = segments.m
)

select
    scored.run,
    scored.customer_id,
    scored.last_purchase_on,
    scored.recency,
    scored.frequency,
    scored.monetary_total,
    scored.monetary_average,
    scored.purchases,
    scored.without_rate,
    scored.r,
    scored.f,
    scored.m,
    triples.definition,
    triples.as_of,
    triples.segment
from rfm._scored as scored
inner join triples
    on scored.run = triples.run
    and scored.r = triples.r
    and scored.f = triples.f
    and scored.m = triples.m

-- What each customer had on both dates of a pair: the values, the scores and the group each measure was scored in.
-- grain: run, side, customer_id
-- why: the old date is read as it was published, the new one as it was just committed.
with

pairs as (
    select
        run,
        side,
        definition,
        version,
        as_of
    from rfm._pairs
),

definitions as (
    select
        version,
        definition,
        monetary
    from programme.rfm_definitions
),

scores as (
    select
        definition,
        as_of,
        customer_id,
        recency,
        frequency,
        monetary_total,
        monetary_average,
        r,
        f,
        m,
        segment
    from rfm.scores
    where as_of in (select as_of from pairs)
)

select
    pairs.run,
    pairs.side,
    scores.customer_id,
    scores.recency,
    scores.frequency,
    case definitions.monetary when 'average' then scores.monetary_average else scores.monetary_total end as monetary,
    scores.monetary_total as revenue,
    scores.r,
    scores.f,
    scores.m,
    scores.segment
from pairs
inner join definitions
    on pairs.version = definitions.version
    and pairs.definition = definitions.definition
inner join scores
    on pairs.definition = scores.definition
    and pairs.as_of = scores.as_of

-- The customers with the scores of the level at work beside those they had.
-- grain: run, customer_id
-- why: a score is looked up between the bounds it has in the customer's group; only equal values that stand in two
-- scores are looked up by customer.
with

recency_bounds as (
    select
        run,
        above,
        score,
        whole_lowest,
        whole_highest
    from rfm._level_bounds
    where
        measure = 'recency'
        and whole_lowest is not null
),

recency_ties as (
    select
        run,
        customer_id,
        score
    from rfm._ties
    where measure = 'recency'
),

frequency_bounds as (
    select
        run,
        above,
        score,
        whole_lowest,
        whole_highest
    from rfm._level_bounds
    where
        measure = 'frequency'
        and whole_lowest is not null
),

frequency_ties as (
    select
        run,
        customer_id,
        score
    from rfm._ties
    where measure = 'frequency'
),

monetary_bounds as (
    select
        run,
        above,
        score,
        whole_lowest,
        whole_highest
    from rfm._level_bounds
    where
        measure = 'monetary'
        and whole_lowest is not null
),

monetary_ties as (
    select
        run,
        customer_id,
        score
    from rfm._ties
    where measure = 'monetary'
)

select
    graded.run,
    graded.customer_id,
    graded.last_purchase_on,
    graded.recency,
    graded.frequency,
    graded.monetary_total,
    graded.monetary_average,
    graded.monetary,
    graded.purchases,
    graded.without_rate,
    coalesce(recency_ties.score, recency_bounds.score, graded.r) as r,
    coalesce(frequency_ties.score, frequency_bounds.score, graded.f) as f,
    coalesce(monetary_ties.score, monetary_bounds.score, graded.m) as m
from rfm._graded as graded
left join recency_bounds
    on graded.run = recency_bounds.run
    and graded.recency_above = recency_bounds.above
    and graded.recency between recency_bounds.whole_lowest and recency_bounds.whole_highest
left join recency_ties
    on graded.run = recency_ties.run
    and graded.customer_id = recency_ties.customer_id
left join frequency_bounds
    on graded.run = frequency_bounds.run
    and graded.frequency_above = frequency_bounds.above
    and graded.frequency between frequency_bounds.whole_lowest and frequency_bounds.whole_highest
left join frequency_ties
    on graded.run = frequency_ties.run
    and graded.customer_id = frequency_ties.customer_id
left join monetary_bounds
    on graded.run = monetary_bounds.run
    and graded.monetary_above = monetary_bounds.above
    and graded.monetary between monetary_bounds.whole_lowest and monetary_bounds.whole_highest
left join monetary_ties
    on graded.run = monetary_ties.run
    and graded.customer_id = monetary_ties.customer_id

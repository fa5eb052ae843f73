-- The lifetimes known on a date, with what the page filters by.
-- grain: definition, customer_id
-- why: put together once for the answers of a view; of other dates than the one the page opens with when it is asked for.
with

dates as (
    select
        definition,
        as_of
    from analysts._opening
),

profiles as (
    select
        customer_id,
        channel,
        country,
        tier
    from analysts._profiles
),

scores as (
    select
        definition,
        as_of,
        customer_id,
        segment
    from rfm.scores
),

runs as (
    select
        dates.definition,
        dates.as_of,
        max(models.as_of) as foretold_on
    from dates
    inner join rfm.lifetime_models as models
        on dates.definition = models.definition
        and dates.as_of >= models.as_of
    group by
        dates.definition,
        dates.as_of
)

select
    lives.definition,
    lives.as_of,
    lives.customer_id,
    lives.x,
    lives.t_x,
    lives.t,
    lives.average_repeat_purchase,
    lives.average_purchase,
    lives.p_alive,
    lives.expected_average_purchase,
    lives.expected_purchases_30d,
    lives.purchases_30d_low,
    lives.purchases_30d_high,
    lives.expected_value_30d,
    lives.value_30d_low,
    lives.value_30d_high,
    lives.expected_purchases_90d,
    lives.purchases_90d_low,
    lives.purchases_90d_high,
    lives.expected_value_90d,
    lives.value_90d_low,
    lives.value_90d_high,
    lives.expected_purchases_365d,
    lives.purchases_365d_low,
    lives.purchases_365d_high,
    lives.expected_value_365d,
    lives.value_365d_low,
    lives.value_365d_high,
    scores.segment,
    profiles.channel,
    profiles.country,
    profiles.tier
from rfm.lifetime_value as lives
inner join runs
    on lives.definition = runs.definition
    and lives.as_of = runs.foretold_on
left join profiles
    on lives.customer_id = profiles.customer_id
left join scores
    on runs.definition = scores.definition
    and runs.as_of = scores.as_of
    and lives.customer_id = scores.customer_id

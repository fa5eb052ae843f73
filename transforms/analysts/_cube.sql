-- Customers and money by scores, segment, channel, country and tier, on every date of every definition.
-- grain: definition, as_of, r, f, m, segment, channel, country, tier
-- why: most views count customers; from this they count in no time, however many there are.
with

scores as (
    select
        definition,
        as_of,
        customer_id,
        frequency,
        monetary_total,
        r,
        f,
        m,
        segment
    from rfm.scores
),

profiles as (
    select
        customer_id,
        channel,
        country,
        tier
    from analysts._profiles
)

select
    scores.definition,
    scores.as_of,
    scores.r,
    scores.f,
    scores.m,
    scores.segment,
    coalesce(profiles.channel, '') as channel,
    coalesce(profiles.country, '') as country,
    coalesce(profiles.tier, '') as tier,
    count(*) as customers,
    sum(scores.frequency) as purchases,
    sum(scores.monetary_total) as revenue
from scores
left join profiles
    on scores.customer_id = profiles.customer_id
group by all

-- Points that go within 30, 60 and 90 days unless they are used, and how many cards hold them, by the page's filters.
-- grain: definition, reward_point_id, channel, country, tier, segment
-- why: whom to remind; loyalty.expiring_soon names the cards.
with

expiring as (
    select
        card_id,
        reward_point_id,
        expiring_30d,
        expiring_60d,
        expiring_90d
    from loyalty.expiring_soon
),

cards as (
    select
        card_id,
        definition,
        channel,
        country,
        tier,
        segment
    from analysts._cards
)

select
    cards.definition,
    expiring.reward_point_id,
    cards.channel,
    cards.country,
    cards.tier,
    cards.segment,
    count(case when expiring.expiring_30d > 0 then 1 end) as cards_30d,
    count(case when expiring.expiring_60d > 0 then 1 end) as cards_60d,
    count(case when expiring.expiring_90d > 0 then 1 end) as cards_90d,
    sum(expiring.expiring_30d) as expiring_30d,
    sum(expiring.expiring_60d) as expiring_60d,
    sum(expiring.expiring_90d) as expiring_90d
from expiring
inner join cards
    on expiring.card_id = cards.card_id
group by all

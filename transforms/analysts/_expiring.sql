-- Points that go within 30, 60 and 90 days unless they are used, and how many cards hold them, by the page's filters.
-- grain: definition, reward_point_id, channel, country, tier, segment
-- why: whom to remind; loyalty.expiring_soon names the cards. Nobody is reminded to use what cannot be redeemed.
with

redeemable as (
    select points.reward_point_id
    from programme.reward_points as points
    inner join programme.calendar as calendar
        on points.version = calendar.version
    where
        calendar.business_date = $business_date
        and points.redeemable
),

expiring as (
    select
        soon.card_id,
        soon.reward_point_id,
        soon.expiring_30d,
        soon.expiring_60d,
        soon.expiring_90d
    from loyalty.expiring_soon as soon
    inner join redeemable
        on soon.reward_point_id = redeemable.reward_point_id
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

-- Points members hold, and when they expire, by the page's filters.
-- grain: definition, reward_point_id, expires_in, channel, country, tier, segment
-- why: what is owed to members, and what of it goes when nobody uses it; `expires_in` is the first day of a month,
-- empty for points that never expire. Points that cannot be redeemed buy nothing: they are only held, never usable. Money is what
-- the programme in force says each is worth.
with

redeemable as (
    select
        points.reward_point_id,
        points.value
    from programme.reward_points as points
    inner join programme.calendar as calendar
        on points.version = calendar.version
    where
        calendar.business_date = $business_date
        and points.redeemable
),

lots as (
    select
        card_id,
        reward_point_id,
        points - taken as remaining,
        usable_from,
        expires_on
    from loyalty.open_lots
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
    lots.reward_point_id,
    cast(date_trunc('month', lots.expires_on) as date) as expires_in,
    cards.channel,
    cards.country,
    cards.tier,
    cards.segment,
    sum(lots.remaining) as held,
    sum(
        case when redeemable.reward_point_id is not null and lots.usable_from <= $business_date then lots.remaining else 0 end
    ) as usable,
    sum(
        case when redeemable.reward_point_id is not null and lots.usable_from > $business_date then lots.remaining else 0 end
    ) as vesting,
    max(redeemable.value) as value_per_point
from lots
inner join cards
    on lots.card_id = cards.card_id
left join redeemable
    on lots.reward_point_id = redeemable.reward_point_id
where
    lots.expires_on is null
    or lots.expires_on >= $business_date
group by all

-- What the analysts' page filters customers by: where they bought last, and their best tier now.
-- grain: customer_id
-- why: each filter must mean the same in every view, so it is one trait of the customer as of the night, also where
-- a view looks at an earlier date.
with

purchases as (
    select
        customer_id,
        channel_id,
        business_date
    from rfm._receipts
    where is_purchase
),

cards as (
    select
        card_id,
        max(customer_id) as customer_id
    from reference.loyalty_cards
    where
        customer_id is not null
        and $business_date between valid_from and valid_to
    group by card_id
),

channels as (
    select
        channel_id,
        country
    from reference.channels
    where $business_date between valid_from and valid_to
),

stays as (
    select
        card_id,
        tier_id,
        level
    from loyalty.card_tiers
    where
        valid_from <= $business_date
        and (valid_to is null or valid_to >= $business_date)
),

-- A day and a channel as one number, so that the last one is simply the greatest: of several on that day, that of the
-- last name.
numbered_channels as (
    select
        channel_id,
        row_number() over (order by channel_id) as number
    from (select distinct channel_id from sales.transactions) as sold
),

last_purchases as (
    select
        purchases.customer_id,
        max(100000 * date_diff('day', date '0001-01-01', purchases.business_date) + numbered_channels.number) as last
    from purchases
    inner join numbered_channels
        on purchases.channel_id = numbered_channels.channel_id
    group by purchases.customer_id
),

tiers as (
    select
        cards.customer_id,
        max_by(stays.tier_id, cast(1000 + stays.level as varchar) || stays.tier_id) as tier
    from stays
    inner join cards
        on stays.card_id = cards.card_id
    group by cards.customer_id
)

select
    last_purchases.customer_id,
    numbered_channels.channel_id as channel,
    coalesce(channels.country, '') as country,
    coalesce(tiers.tier, '') as tier
from last_purchases
inner join numbered_channels
    on last_purchases.last % 100000 = numbered_channels.number
left join channels
    on numbered_channels.channel_id = channels.channel_id
left join tiers
    on last_purchases.customer_id = tiers.customer_id

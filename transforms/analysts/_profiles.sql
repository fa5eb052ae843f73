-- What the analysts' page filters customers by: where they bought last, and their best tier now.
-- grain: customer_id
-- why: each filter must mean the same in every view, so it is one trait of the customer as of the night, also where
-- a view looks at an earlier date.
with

transactions as (
    select
        transaction_id,
        channel_id,
        business_date,
        customer_id,
        case when customer_id is null then loyalty_card_id end as loyalty_card_id
    from sales.transactions
    where type <> 'return'
),

cards as (
    select
        card_id,
        valid_from,
        valid_to,
        max(customer_id) as customer_id
    from reference.loyalty_cards
    group by
        card_id,
        valid_from,
        valid_to
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

last_purchases as (
    select
        coalesce(transactions.customer_id, cards.customer_id) as customer_id,
        max_by(
            transactions.channel_id, cast(transactions.business_date as varchar) || transactions.transaction_id
        ) as channel_id
    from transactions
    left join cards
        on transactions.loyalty_card_id = cards.card_id
        and transactions.business_date between cards.valid_from and cards.valid_to
    where coalesce(transactions.customer_id, cards.customer_id) is not null
    group by coalesce(transactions.customer_id, cards.customer_id)
),

tiers as (
    select
        cards.customer_id,
        max_by(stays.tier_id, cast(1000 + stays.level as varchar) || stays.tier_id) as tier
    from stays
    inner join cards
        on stays.card_id = cards.card_id
    where
        cards.customer_id is not null
        and $business_date between cards.valid_from and cards.valid_to
    group by cards.customer_id
)

select
    last_purchases.customer_id,
    last_purchases.channel_id as channel,
    coalesce(channels.country, '') as country,
    coalesce(tiers.tier, '') as tier
from last_purchases
left join channels
    on last_purchases.channel_id = channels.channel_id
left join tiers
    on last_purchases.customer_id = tiers.customer_id

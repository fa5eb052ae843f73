-- Receipts and invoiced orders with the customer they belong to; those of nobody are left out.
-- grain: transaction
-- why: a receipt that names only a card belongs to the customer that the card's record of that day names. The two
-- kinds are read apart, so that those with a customer, nearly all, look nothing up.
with

named as (
    select
        channel_id,
        business_date,
        posted_date,
        type <> 'return' as is_purchase,
        customer_id,
        currency,
        net_amount,
        coalesce(tax_amount, 0) + coalesce(charges_amount, 0) as extra_amount
    from customers.receipts
    where customer_id is not null
),

by_card as (
    select
        channel_id,
        business_date,
        posted_date,
        type <> 'return' as is_purchase,
        loyalty_card_id,
        currency,
        net_amount,
        coalesce(tax_amount, 0) + coalesce(charges_amount, 0) as extra_amount
    from customers.receipts
    where
        customer_id is null
        and loyalty_card_id is not null
),

-- A card may stand in a row for each program; its customer belongs to the card.
cards as (
    select
        card_id,
        valid_from,
        valid_to,
        max(customer_id) as customer_id
    from reference.loyalty_cards
    where customer_id is not null
    group by
        card_id,
        valid_from,
        valid_to
)

select
    channel_id,
    business_date,
    posted_date,
    is_purchase,
    customer_id,
    currency,
    net_amount,
    extra_amount
from named

union all

select
    by_card.channel_id,
    by_card.business_date,
    by_card.posted_date,
    by_card.is_purchase,
    cards.customer_id,
    by_card.currency,
    by_card.net_amount,
    by_card.extra_amount
from by_card
inner join cards
    on by_card.loyalty_card_id = cards.card_id
    and by_card.business_date between cards.valid_from and cards.valid_to

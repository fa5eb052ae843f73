-- The customer of each card now, with its filters and its segment on the newest date of each definition.
-- grain: card_id, definition
-- why: points and tiers are kept by card, filters by customer.
with

cards as (
    select
        card_id,
        max(customer_id) as customer_id
    from reference.loyalty_cards
    where $business_date between valid_from and valid_to
    group by card_id
),

profiles as (
    select
        customer_id,
        channel,
        country,
        tier
    from analysts._profiles
),

newest as (
    select
        definition,
        max(as_of) as as_of
    from rfm.segments
    group by definition
),

scores as (
    select
        definition,
        as_of,
        customer_id,
        segment
    from rfm.scores
)

select
    cards.card_id,
    newest.definition,
    coalesce(profiles.channel, '') as channel,
    coalesce(profiles.country, '') as country,
    coalesce(profiles.tier, '') as tier,
    coalesce(scores.segment, '') as segment
from cards
cross join newest
left join profiles
    on cards.customer_id = profiles.customer_id
left join scores
    on newest.definition = scores.definition
    and newest.as_of = scores.as_of
    and cards.customer_id = scores.customer_id

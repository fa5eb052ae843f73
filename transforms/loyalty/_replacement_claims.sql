-- Which card says it replaces which, from when, and the drop that first said so.
-- grain: card_id
with

cards as (
    select
        card_id,
        replaces_card_id
    from loyalty._cards
    where valid_to = date '9999-12-31'
),

enrolments as (
    select
        card_id,
        min(enrolled_from) as replaced_on
    from reference.loyalty_cards
    where valid_to = date '9999-12-31'
    group by card_id
)

select
    cards.card_id,
    cards.replaces_card_id as old_card_id,
    enrolments.replaced_on,
    min(landed.drop_date) as drop_date
from cards
inner join enrolments
    on cards.card_id = enrolments.card_id
inner join landed.loyalty_cards as landed
    on cards.card_id = landed.card_id
    and cards.replaces_card_id = landed.replaces_card_id
where
    landed.drop_date <= $business_date
    and enrolments.replaced_on <= $business_date
    and cards.replaces_card_id in (select card_id from cards)
group by
    cards.card_id,
    cards.replaces_card_id,
    enrolments.replaced_on

-- Loyalty cards as they hold on the opening day.
-- grain: card_id, program_id
-- why: card type, customer and replacement belong to the card: its newest row decides for all programs; a replaced
-- card is blocked from the first day of the card that took its place (spec 2-loyalty section 2).
with

request as (
    select opening_day
    from distribution._request
),

cards as (
    select
        cards.card_id,
        cards.program_id,
        cards.card_type,
        cards.customer_id,
        cards.channel_id,
        cards.enrolled_from,
        cards.enrolled_to,
        cards.replaces_card_id,
        row_number() over (
            partition by cards.card_id
            order by cards.enrolled_from desc, cards.issued_at desc nulls last, cards.program_id desc
        ) as age
    from reference.loyalty_cards as cards
    inner join request
        on request.opening_day between cards.valid_from and cards.valid_to
),

newest as (
    select
        card_id,
        card_type,
        customer_id,
        replaces_card_id,
        enrolled_from
    from cards
    where age = 1
),

replacements as (
    select
        newest.replaces_card_id as card_id,
        newest.card_id as replaced_by_card_id,
        row_number() over (
            partition by newest.replaces_card_id
            order by newest.enrolled_from desc, newest.card_id desc
        ) as age
    from newest
    inner join request
        on newest.enrolled_from <= request.opening_day
    where newest.replaces_card_id is not null
)

select
    cards.card_id,
    cards.program_id,
    case when replacements.card_id is null then newest.card_type else 'blocked' end as card_type,
    newest.customer_id,
    cards.channel_id,
    cards.enrolled_from,
    cards.enrolled_to,
    replacements.replaced_by_card_id
from cards
inner join newest
    on cards.card_id = newest.card_id
left join replacements
    on cards.card_id = replacements.card_id
    and replacements.age = 1

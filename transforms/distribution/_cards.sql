-- Dataset cards of each database: the cards that concern it, in the programs they have not left.
-- grain: database, card_id, program_id
with

request as (
    select opening_day
    from distribution._request
)

select
    involved.database,
    cards.card_id,
    cards.program_id,
    cards.card_type,
    cards.customer_id,
    cards.enrolled_from,
    cards.enrolled_to,
    cards.replaced_by_card_id
from distribution._involved_cards as involved
inner join distribution._cards_now as cards
    on involved.card_id = cards.card_id
inner join request
    on cards.enrolled_to is null
    or cards.enrolled_to >= request.opening_day

-- Cards worked out again tonight for which that changed something, or of which older states say something wrong.
-- grain: card_id
with

posted as (
    select card_id
    from loyalty._entry_postings

    union

    select card_id
    from loyalty._lot_postings

    union

    select card_id
    from loyalty._allocation_postings
)

select posted.card_id
from posted
inner join loyalty._scope_cards as cards
    on posted.card_id = cards.card_id
where cards.again

union

select card_id
from loyalty._misstated_cards

-- The cards that concern each database.
-- grain: database, card_id
-- why: a store needs the cards it may meet: those it has met, and all cards of the customers that concern it.
select
    database,
    card_id
from distribution._met_cards

union

select
    involved.database,
    cards.card_id
from distribution._involved_customers as involved
inner join distribution._cards_now as cards
    on involved.customer_id = cards.customer_id

-- Who holds or held each card.
-- grain: card_id, customer_id
-- why: one customer's story is found by these, without working out the history of every card.
select distinct
    card_id,
    customer_id
from reference.loyalty_cards
where customer_id is not null

-- Who holds or held each card.
-- grain: card_id, customer_id
-- why: one customer's story is found by these, without working out the history of every card. Sorted by customer, so that
-- a few blocks of it hold the answer.
select distinct
    card_id,
    customer_id
from reference.loyalty_cards
where customer_id is not null
order by customer_id, card_id

-- Each card with its customer of today; a card without one stands for itself.
-- grain: card_id
select
    card_id,
    case when customer_id is null then 'card ' || card_id else 'customer ' || customer_id end as node
from loyalty._cards
where valid_to = date '9999-12-31'

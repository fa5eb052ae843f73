-- Each card with its customer of today; a card without one stands for itself.
-- grain: card_id
-- why: a card that head office has withdrawn is nobody's, but what was posted of it must go.
with

withdrawn as (
    select distinct name as card_id
    from ops.withdrawn
    where
        dataset = 'loyalty_cards'
        and named_by = 'card_id'
)

select
    card_id,
    case when customer_id is null then 'card ' || card_id else 'customer ' || customer_id end as node
from loyalty._cards
where valid_to = date '9999-12-31'

union all

select
    card_id,
    'card ' || card_id as node
from withdrawn
where card_id not in (select card_id from loyalty._cards)

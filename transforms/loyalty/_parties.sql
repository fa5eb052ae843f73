-- Numbers for the customers whose cards a contact tender may draw on together.
-- grain: customer_id
select
    customer_id,
    row_number() over (order by customer_id) as party
from (
    select distinct cards.customer_id
    from loyalty._cards as cards
    inner join loyalty._scope_cards as scope
        on cards.card_id = scope.card_id
    where cards.customer_id is not null
) as customers

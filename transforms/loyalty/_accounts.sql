-- Which account each card's points belong to.
-- grain: card_id
-- why: cards of one customer can touch each other's points; an anonymous card stands alone.
with

cards as (
    select
        card_id,
        customer_id,
        valid_to
    from reference.loyalty_cards
)

select
    card_id,
    case
        when max(customer_id) filter (where valid_to = date '9999-12-31') is null then 'card ' || card_id
        else 'customer ' || max(customer_id) filter (where valid_to = date '9999-12-31')
    end as account_id
from cards
group by card_id

-- What belongs to a card whatever its program: its type, its customer and the card it replaces, as each date sees them.
-- grain: card_id, valid_from
-- why: a card may stand in several rows, one for each program; the one issued last decides for all. A customer named by
-- a GUID is the account that was given for it, also on dates before it was.
with

cards as (
    select
        card_id,
        valid_from,
        valid_to,
        card_type,
        customer_id,
        replaces_card_id
    from reference.loyalty_cards
    qualify row_number() over (
        partition by card_id, valid_from
        order by issued_at desc nulls last, program_id
    ) = 1
)

select
    cards.card_id,
    cards.valid_from,
    cards.valid_to,
    cards.card_type,
    coalesce(account_map.account, cards.customer_id) as customer_id,
    cards.replaces_card_id
from cards
left join customers.account_map as account_map
    on cards.customer_id = account_map.async_id

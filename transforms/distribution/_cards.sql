-- Dataset cards of each database: the cards that concern it, in the programs they have not left.
-- grain: database, card_id, program_id
-- why: an offline database that gets no customers need not know whose cards they are.
with

request as (
    select
        opening_day,
        hide_customers_offline
    from distribution._request
),

databases as (
    select distinct
        database,
        is_offline
    from distribution._databases
)

select
    involved.database,
    cards.card_id,
    cards.program_id,
    cards.card_type,
    case when not (databases.is_offline and request.hide_customers_offline) then cards.customer_id end as customer_id,
    cards.enrolled_from,
    cards.enrolled_to,
    cards.replaced_by_card_id
from distribution._involved_cards as involved
inner join distribution._cards_now as cards
    on involved.card_id = cards.card_id
inner join databases
    on involved.database = databases.database
inner join request
    on cards.enrolled_to is null
    or cards.enrolled_to >= request.opening_day

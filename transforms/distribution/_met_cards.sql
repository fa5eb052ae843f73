-- The cards each database has met: enrolled or used at its channels in the last months, or all where all are sent.
-- grain: database, card_id
-- why: with their customers they begin what concerns a store; cards of the erased are no store's (spec 6-distribution).
with

request as (
    select
        involved_since,
        all_cards
    from distribution._request
),

databases as (
    select
        database,
        channel_id
    from distribution._databases
),

erased as (
    select account
    from distribution._customers_now
    where status = 'erased'
),

cards as (
    select distinct
        card_id,
        customer_id,
        channel_id
    from distribution._cards_now
    where coalesce(customer_id, '') not in (select account from erased)
),

bought as (
    select distinct
        databases.database,
        transactions.loyalty_card_id
    from sales.transactions as transactions
    inner join databases
        on transactions.channel_id = databases.channel_id
    inner join request
        on transactions.business_date >= request.involved_since
    where
        transactions.loyalty_card_id is not null
        and not request.all_cards
)

select
    databases.database,
    cards.card_id,
    cards.customer_id
from cards
inner join databases
    on cards.channel_id = databases.channel_id

union

select
    bought.database,
    cards.card_id,
    cards.customer_id
from bought
inner join cards
    on bought.loyalty_card_id = cards.card_id

union

select
    databases.database,
    cards.card_id,
    cards.customer_id
from databases
cross join cards
inner join request
    on request.all_cards

-- The cards that concern each database.
-- grain: database, card_id
-- why: a store needs the cards it may meet: enrolled there or used there in the last months, and all other cards of
-- their customers, of its customers and of its default customers (spec 6-distribution, "Involved").
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
        channel_id,
        default_customer_id
    from distribution._databases
),

cards as (
    select distinct
        card_id,
        customer_id,
        channel_id
    from distribution._cards_now
),

bought as (
    select distinct
        databases.database,
        transactions.loyalty_card_id,
        transactions.customer_id
    from sales.transactions as transactions
    inner join databases
        on transactions.channel_id = databases.channel_id
    inner join request
        on transactions.business_date >= request.involved_since
    where not request.all_cards
),

met as (
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
),

customers as (
    select
        database,
        default_customer_id as customer_id
    from databases
    where default_customer_id is not null

    union

    select
        database,
        customer_id
    from bought
    where customer_id is not null

    union

    select
        database,
        customer_id
    from met
    where customer_id is not null
)

select
    met.database,
    met.card_id
from met

union

select
    customers.database,
    cards.card_id
from customers
inner join cards
    on customers.customer_id = cards.customer_id

union

select
    databases.database,
    cards.card_id
from databases
cross join cards
inner join request
    on request.all_cards

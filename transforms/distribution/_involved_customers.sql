-- The customers that concern each database.
-- grain: database, customer_id
-- why: created at its channels or their default; who bought there in the last months; whose cards it has met. Never
-- the erased (spec 6-distribution, "Involved").
with

request as (
    select involved_since
    from distribution._request
),

databases as (
    select
        database,
        channel_id,
        default_customer_id
    from distribution._databases
),

customers as (
    select
        account,
        created_channel_id,
        status
    from distribution._customers_now
),

involved as (
    select
        databases.database,
        customers.account as customer_id
    from customers
    inner join databases
        on customers.created_channel_id = databases.channel_id

    union

    select
        database,
        default_customer_id as customer_id
    from databases

    union

    select
        databases.database,
        transactions.customer_id
    from customers.receipts as transactions
    inner join databases
        on transactions.channel_id = databases.channel_id
    inner join request
        on transactions.business_date >= request.involved_since

    union

    select
        database,
        customer_id
    from distribution._met_cards
)

select
    database,
    customer_id
from involved
where
    customer_id is not null
    and customer_id not in (select account from customers where status = 'erased')

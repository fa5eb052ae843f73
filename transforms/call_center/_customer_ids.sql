-- The account behind every id that a document may name: an account number, or the GUID it had before.
-- grain: customer_id
with

customers as (
    select distinct account
    from customers.customers
),

account_map as (
    select
        async_id,
        account
    from customers.account_map
)

select
    async_id as customer_id,
    account
from account_map

union

select
    account as customer_id,
    account
from customers
where account not in (select async_id from account_map)

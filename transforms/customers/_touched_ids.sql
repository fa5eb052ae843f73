-- All names of the customers to be worked out: what tonight names, the accounts behind it, the GUIDs of these.
-- grain: id
with

named as (
    select id
    from customers._named_ids
),

mapped as (
    select
        async_id,
        account
    from customers.account_map
),

accounts as (
    select id
    from named

    union

    select account as id
    from mapped
    where async_id in (select id from named)
)

select id
from accounts

union

select async_id as id
from mapped
where account in (select id from accounts)

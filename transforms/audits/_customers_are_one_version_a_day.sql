-- The customer master: a day sees one version of a customer, a GUID is one account.
-- grain: what, id, day
with

versions as (
    select
        account,
        valid_from,
        valid_to,
        lead(valid_from) over (partition by account order by valid_from) as next_from
    from customers.customers
),

guids as (
    select async_id
    from customers.account_map
    group by async_id
    having count(*) > 1
)

select
    'customer' as what,
    account as id,
    valid_from as day
from versions
where
    valid_to <= valid_from
    or next_from <> valid_to

union all

select
    'guid' as what,
    async_id as id,
    cast(null as date) as day
from guids

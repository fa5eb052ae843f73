-- The operation that made each customer, and the default customer it inherits from.
-- grain: account
-- why: the earliest create makes a customer; a default customer inherits nothing.
with

operations as (
    select *
    from customers._operations
    where
        operation_no = maker_no
        and status = 'synced'
)

select
    owner as account,
    operation_id,
    async_id,
    operated_at,
    on_date,
    channel_id,
    case
        when owner not in (select default_account from customers._defaults where default_account is not null)
            then default_account
    end as default_account
from operations

union all

-- Who is only added to inherited when it was made.
select
    account,
    cast(null as varchar) as operation_id,
    async_id,
    created_at as operated_at,
    cast(null as date) as on_date,
    created_channel_id as channel_id,
    cast(null as varchar) as default_account
from customers._continued

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

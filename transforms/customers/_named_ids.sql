-- Accounts and GUIDs that tonight's operations name or named, and those that inherit from them.
-- grain: id
with

touched as (
    select operation_id
    from customers._touched_operations
),

named as (
    select
        customer_id,
        async_id
    from landed.customers
    where
        drop_date <= $business_date
        and operation_id in (select operation_id from touched)
),

known as (
    select
        owner,
        async_id
    from customers.operation_versions
    where operation_id in (select operation_id from touched)
),

ids as (
    select customer_id as id
    from named
    where customer_id is not null

    union

    select async_id as id
    from named
    where async_id is not null

    union

    select owner as id
    from known

    union

    select async_id as id
    from known
    where async_id is not null

    union

    select id
    from customers._erasures
    where seq > $since

    union

    select account as id
    from customers.customer_versions
    where customer_group in (select id from customers._changed_references where kind = 'group')
),

inherited_from as (
    select channel_id
    from customers._defaults
    where default_account in (select id from ids)
)

select id
from ids

union

select account as id
from customers.customer_versions
where created_channel_id in (select channel_id from inherited_from)

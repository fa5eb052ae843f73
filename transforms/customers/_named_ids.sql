-- Accounts and GUIDs that tonight's operations name or named, and those that inherit from them.
-- grain: id
-- why: whoever is named for another reason than a new operation is worked out from all operations there were.
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
    from customers._known_operations
),

ids as (
    select
        customer_id as id,
        false as is_whole
    from named
    where customer_id is not null

    union all

    select
        async_id as id,
        false as is_whole
    from named
    where async_id is not null

    union all

    select
        owner as id,
        true as is_whole
    from known

    union all

    select
        async_id as id,
        true as is_whole
    from known
    where async_id is not null

    union all

    select
        id,
        true as is_whole
    from customers._erasures
    where seq > $since

    union all

    select
        account as id,
        true as is_whole
    from customers.customer_versions
    where customer_group in (select id from customers._changed_references where kind = 'group')
),

inherited_from as (
    select channel_id
    from customers._defaults
    where default_account in (select id from ids)
),

all_ids as (
    select
        id,
        is_whole
    from ids

    union all

    select
        account as id,
        true as is_whole
    from customers.customer_versions
    where created_channel_id in (select channel_id from inherited_from)
)

select
    id,
    bool_or(is_whole) as is_whole
from all_ids
group by id

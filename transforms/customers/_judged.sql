-- Operations with the first reason for which each cannot count, as far as that needs no other operation.
-- grain: operation_id
-- why: spec 3-customers rule 2; a create must say who it makes, with the type its channel's default customer has.
with

operations as (
    select *
    from customers._landed_operations
),

types as (
    select
        coalesce(customer_id, async_id) as account,
        customer_type,
        on_date,
        operated_at,
        operation_id
    from operations
    where customer_type is not null
),

default_types as (
    select
        operations.operation_id,
        types.customer_type
    from operations
    inner join types
        on operations.default_account = types.account
    where
        operations.operation = 'create'
        and operations.customer_type is null
        and coalesce(operations.customer_id, '') <> operations.default_account
    qualify row_number() over (
        partition by operations.operation_id
        order by
            case when types.on_date <= operations.on_date then 0 else 1 end,
            case when types.on_date <= operations.on_date then types.operated_at end desc,
            types.operated_at,
            types.operation_id
    ) = 1
),

groups as (
    select distinct id
    from landed.customer_groups
    where drop_date <= $business_date
),

typed as (
    select
        operations.operation_id,
        operations.operation,
        operations.mode,
        operations.operated_at,
        operations.on_date,
        operations.drop_date,
        operations.channel_id,
        operations.channel_known,
        operations.customer_id,
        operations.async_id,
        operations.first_name,
        operations.last_name,
        operations.organization_name,
        coalesce(operations.customer_type, default_types.customer_type) as judged_type,
        erasures.seq is not null as is_erased,
        coalesce(erasures.seq < operations.seq, false) as came_after_erasure,
        operations.customer_group is not null and groups.id is null as group_unknown
    from operations
    left join default_types
        on operations.operation_id = default_types.operation_id
    left join customers._erasures as erasures
        on coalesce(operations.customer_id, operations.async_id) = erasures.id
    left join groups
        on operations.customer_group = groups.id
)

select
    operation_id,
    operation,
    mode,
    operated_at,
    on_date,
    drop_date,
    customer_id,
    async_id,
    case
        when customer_id is null and (mode = 'sync' or async_id is null) then 'no_id'
        when came_after_erasure then 'erased'
        when channel_id is not null and not channel_known then 'unknown_channel'
        when group_unknown then 'unknown_group'
        when operation <> 'create' or is_erased then null
        when judged_type is null then 'no_type'
        when judged_type = 'person' and coalesce(first_name, last_name) is null then 'no_name'
        when judged_type = 'organization' and organization_name is null then 'no_name'
    end as own_reason
from typed

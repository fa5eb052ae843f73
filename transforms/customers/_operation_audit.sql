-- The audit of the operations of the customers worked out tonight.
-- grain: operation_id
-- why: what an operation changed is told by its place in the order of all, not by when it came.
with

changes as (
    select
        account,
        operation_id,
        column_name,
        value,
        lag(value) over (partition by account, column_name order by operation_no) as value_before
    from customers._changes
),

told as (
    select
        operation_id,
        concat(
            '{',
            array_to_string(
                list_sort(
                    array_agg(
                        concat(
                            '"', column_name, '":{"old":', coalesce(cast(to_json(value_before) as varchar), 'null'),
                            ',"new":', coalesce(cast(to_json(value) as varchar), 'null'), '}'
                        )
                    )
                ),
                ','
            ),
            '}'
        ) as changes
    from changes
    where
        operation_id is not null
        and value is distinct from value_before
    group by operation_id
)

select
    operations.owner,
    operations.operation_id,
    operations.channel_id,
    case when operations.owner not like 'operation %' then operations.owner end as account,
    operations.async_id,
    operations.operation,
    operations.mode,
    operations.operated_at,
    operations.status,
    told.changes,
    operations.reason,
    operations.drop_id
from customers._operations as operations
left join told
    on operations.operation_id = told.operation_id

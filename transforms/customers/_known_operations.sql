-- Touched operations that an earlier night has worked out, and whose they were then.
-- grain: operation_id, owner, async_id
with

touched as (
    select operation_id
    from customers._touched_operations
)

select distinct
    operation_id,
    owner,
    async_id
from customers.operation_versions
where operation_id in (select operation_id from touched)

-- Operations and attributes that do not count, each with where it stands and why.
-- grain: drop_id, file, line, rule
with

drops as (
    select
        drop_id,
        accepted_revision
    from ops.drops
),

operations as (
    select
        operation_id,
        drop_id,
        file,
        line,
        reason as rule
    from customers._operations
    where status = 'failed'
),

attributes as (
    select
        given.operation_id,
        given.drop_id,
        given.file,
        given.line,
        checked.reason as rule,
        given.attribute
    from customers._attribute_values as given
    inner join customers._checked_attributes as checked
        on given.attribute = checked.attribute
        and given.value is not distinct from checked.value
        and given.type is not distinct from checked.type
        and given.allowed_values is not distinct from checked.allowed_values
        and given.minimum is not distinct from checked.minimum
        and given.maximum is not distinct from checked.maximum
    where checked.reason is not null
),

failures as (
    select
        'customers' as dataset,
        operation_id,
        drop_id,
        file,
        line,
        rule,
        '' as attribute
    from operations

    union all

    select
        'customer_attributes' as dataset,
        operation_id,
        drop_id,
        file,
        line,
        rule,
        attribute
    from attributes
)

select
    failures.dataset,
    failures.operation_id,
    failures.drop_id,
    failures.file,
    failures.line,
    failures.rule,
    failures.attribute,
    drops.accepted_revision as revision
from failures
left join drops
    on failures.drop_id = drops.drop_id

-- Every version of the attributes of the customers worked out tonight; an empty value: cleared.
-- grain: account, attribute, valid_from
-- why: a value outside its definition is refused alone; what stood before it stays.
with

held as (
    select versions.*
    from customers.attribute_versions as versions
    inner join customers._continued as continued
        on versions.account = continued.account
        and versions.seq = continued.seq
    where versions.valid_to = date '9999-12-31'
),

-- What a customer who is only added to has stands before tonight's operations.
changes as (
    select
        given.account,
        given.attribute,
        given.counts_from,
        given.operation_no,
        checked.canonical as value
    from customers._attribute_values as given
    inner join customers._checked_attributes as checked
        on given.attribute = checked.attribute
        and given.value is not distinct from checked.value
        and given.type = checked.type
        and given.allowed_values is not distinct from checked.allowed_values
        and given.minimum is not distinct from checked.minimum
        and given.maximum is not distinct from checked.maximum
    where
        given.status = 'synced'
        and checked.reason is null

    union all

    select
        account,
        attribute,
        date '0001-01-01' as counts_from,
        0 as operation_no,
        value
    from held
),

winners as (
    select distinct
        account,
        attribute,
        counts_from,
        max(operation_no) over (
            partition by account, attribute
            order by counts_from
            range between unbounded preceding and current row
        ) as operation_no
    from changes
),

states as (
    select
        winners.account,
        winners.attribute,
        winners.counts_from as day,
        changes.value,
        lag(changes.value) over (
            partition by winners.account, winners.attribute order by winners.counts_from
        ) as value_before,
        row_number() over (
            partition by winners.account, winners.attribute order by winners.counts_from
        ) as state_no
    from winners
    inner join changes
        on winners.account = changes.account
        and winners.attribute = changes.attribute
        and winners.operation_no = changes.operation_no
)

select
    states.account,
    states.attribute,
    greatest(states.day, held.valid_from) as valid_from,
    coalesce(
        lead(states.day) over (partition by states.account, states.attribute order by states.day), date '9999-12-31'
    ) as valid_to,
    states.value
from states
left join held
    on states.account = held.account
    and states.attribute = held.attribute
where
    states.state_no = 1
    or states.value is distinct from states.value_before

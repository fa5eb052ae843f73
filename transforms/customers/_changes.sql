-- All that makes up customers, column by column: what they inherit when they are created, and what operations say.
-- grain: account, operation_no, column_name
-- why: what is inherited stands before every operation (number 0), so anything said since goes over it.
with

inherited as (
    select
        creations.account,
        states.column_name,
        states.value
    from customers._creations as creations
    inner join customers._own_states as states
        on creations.default_account = states.account
        and creations.on_date >= states.from_day
        and creations.on_date < states.to_day
    where
        states.value is not null
        and states.column_name in (
            'customer_type', 'customer_group', 'receipt_option', 'receipt_email', 'currency', 'language'
        )
)

select
    account,
    0 as operation_no,
    cast(null as varchar) as operation_id,
    date '0001-01-01' as counts_from,
    column_name,
    value
from inherited

union all by name

select
    account,
    operation_no,
    operation_id,
    counts_from,
    column_name,
    value
from customers._own_changes
where account in (select account from customers._creations)

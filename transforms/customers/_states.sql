-- What each customer holds, column by column, by the days that see it so: by its operations, before them inherited.
-- grain: account, column_name, from_day
-- why: what is inherited stands before every operation, so that one of the first day leaves nothing of it.
with

own as (
    select
        account,
        column_name,
        from_day,
        to_day,
        value
    from customers._own_states
    where account in (select account from customers._creations)
),

first_own as (
    select
        account,
        column_name,
        min(from_day) as from_day
    from own
    group by
        account,
        column_name
),

inherited as (
    select
        account,
        column_name,
        counts_from,
        value
    from customers._changes
    where operation_no = 0
)

select
    account,
    column_name,
    from_day,
    to_day,
    value
from own

union all

select
    inherited.account,
    inherited.column_name,
    inherited.counts_from as from_day,
    coalesce(first_own.from_day, date '9999-12-31') as to_day,
    inherited.value
from inherited
left join first_own
    on inherited.account = first_own.account
    and inherited.column_name = first_own.column_name
where
    first_own.from_day is null
    or first_own.from_day > inherited.counts_from

-- What operations make of each customer, column by column, by the days that see it so.
-- grain: account, column_name, from_day
-- why: operations count by their own time, whichever drop brings them; of those dated up to a day the last one wins.
with

changes as (
    select
        account,
        column_name,
        counts_from,
        operation_no,
        value
    from customers._own_changes
),

winners as (
    select
        account,
        column_name,
        counts_from,
        value
    from changes
    qualify operation_no = max(operation_no) over (
        partition by account, column_name
        order by counts_from
        range between unbounded preceding and current row
    )
)

select
    account,
    column_name,
    counts_from as from_day,
    coalesce(
        lead(counts_from) over (partition by account, column_name order by counts_from),
        date '9999-12-31'
    ) as to_day,
    value
from winners

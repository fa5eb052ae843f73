-- What each default customer holds by itself, column by column, by the days that see it so.
-- grain: account, column_name, from_day
-- why: default customers inherit nothing; others inherit what these hold on the day they are created.
with

changes as (
    select
        account,
        column_name,
        counts_from,
        operation_no,
        value
    from customers._default_changes
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

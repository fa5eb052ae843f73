-- What operations make of each customer, column by column, by the days that see it so.
-- grain: account, column_name, from_day
-- why: operations count by their own time, whichever drop brings them; of those dated up to a day the last one wins.
with

changes as (
    select
        account,
        column_name,
        counts_from,
        value,
        -- The first day that sees something said later: from then on this says nothing more.
        min(counts_from) over (
            partition by account, column_name
            order by operation_no desc
            rows between unbounded preceding and 1 preceding
        ) as over_from
    from customers._own_changes
)

select
    account,
    column_name,
    counts_from as from_day,
    coalesce(over_from, date '9999-12-31') as to_day,
    value
from changes
where
    over_from is null
    or counts_from < over_from

-- The dates of rfm.history that this run writes anew: those it adds, and those that hold something to be removed.
-- grain: definition, as_of
-- why: a date is replaced as a whole, so what other definitions keep of it is carried over (kept). A definition that
-- no longer runs keeps what it has.
with

runs as (
    select
        definition,
        as_of,
        history_months
    from rfm._runs
),

history as (
    select distinct
        definition,
        as_of
    from rfm.history
),

newest as (
    select
        definition,
        max(as_of) as as_of,
        -- what the newest of the dates due says
        max_by(history_months, as_of) as history_months
    from runs
    group by definition
),

removed as (
    select
        history.definition,
        history.as_of
    from history
    inner join newest
        on history.definition = newest.definition
    where
        newest.history_months = 0
        or history.as_of < newest.as_of - to_months(newest.history_months)
),

added as (
    select
        runs.definition,
        runs.as_of
    from runs
    inner join newest
        on runs.definition = newest.definition
        and newest.history_months > 0
        and runs.as_of >= newest.as_of - to_months(newest.history_months)
    where runs.history_months > 0
),

touched as (
    select as_of from removed
    union
    select as_of from added
)

select
    history.definition,
    history.as_of,
    removed.definition is null and added.definition is null as kept
from history
inner join touched
    on history.as_of = touched.as_of
left join removed
    on history.definition = removed.definition
    and history.as_of = removed.as_of
left join added
    on history.definition = added.definition
    and history.as_of = added.as_of

union

select
    added.definition,
    added.as_of,
    false as kept
from added

-- The two dates that each due analysis compares: its own and the one before, each with the programme in force then.
-- grain: run, side
-- why: a move between segments can come from the customer or from what both dates measured by; the old date's
-- definition goes with the old date. An analysis that runs for the first time has no pair.
with

runs as (
    select
        run,
        definition,
        version,
        as_of
    from rfm._runs
),

known as (
    select distinct
        definition,
        as_of
    from rfm.segments
),

versions as (
    select
        version,
        in_force_from,
        in_force_to
    from programme.versions
),

before as (
    select
        runs.run,
        runs.definition,
        max(known.as_of) as as_of
    from runs
    inner join known
        on runs.definition = known.definition
        and runs.as_of > known.as_of
    group by
        runs.run,
        runs.definition
)

select
    before.run,
    'old' as side,
    before.definition,
    before.as_of,
    versions.version
from before
inner join versions
    on (before.as_of >= versions.in_force_from or versions.in_force_from is null)
    and (before.as_of <= versions.in_force_to or versions.in_force_to is null)

union all

select
    runs.run,
    'new' as side,
    runs.definition,
    runs.as_of,
    runs.version
from runs
inner join before
    on runs.run = before.run

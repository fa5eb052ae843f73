-- What each due analysis says of each of its measures.
-- grain: run, measure
-- why: the steps of scoring know runs, not definitions and versions.
with

runs as (
    select
        run,
        definition,
        version
    from rfm._runs
),

options as (
    select
        version,
        definition,
        measure,
        binning,
        cut_offset,
        divisions,
        level
    from rfm._definition_options
)

select
    runs.run,
    options.measure,
    runs.definition,
    runs.version,
    options.binning,
    options.cut_offset,
    options.divisions,
    options.level
from runs
inner join options
    on runs.version = options.version
    and runs.definition = options.definition

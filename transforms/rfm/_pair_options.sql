-- What each side of a pair says of each measure, and which combinations decide its score.
-- grain: run, side, measure
-- why: a combination is a sum of bits (1 own recency, 2 own frequency, 4 own money, 8 the thresholds are the new
-- ones). A score depends on its own bit, on the thresholds, and on the measures above it; `decided_by` is their sum.
with

pairs as (
    select
        run,
        side,
        definition,
        version,
        as_of
    from rfm._pairs
),

options as (
    select
        version,
        definition,
        measure,
        bit,
        binning,
        cut_offset,
        divisions,
        level
    from rfm._definition_options
),

above as (
    select
        options.version,
        options.definition,
        options.measure,
        sum(higher.bit) as bits
    from options
    inner join options as higher
        on options.version = higher.version
        and options.definition = higher.definition
        and options.level > higher.level
    group by
        options.version,
        options.definition,
        options.measure
)

select
    pairs.run,
    pairs.side,
    pairs.definition,
    pairs.version,
    pairs.as_of,
    options.measure,
    options.bit,
    cast(coalesce(above.bits, 0) + options.bit + 8 as integer) as decided_by,
    options.binning,
    options.cut_offset,
    options.divisions,
    options.level
from pairs
inner join options
    on pairs.version = options.version
    and pairs.definition = options.definition
left join above
    on options.version = above.version
    and options.definition = above.definition
    and options.measure = above.measure

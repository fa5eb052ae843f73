-- The cuts of each group: worked out for `quantile`, given for `fixed`.
-- grain: run, measure, above, cut_no
-- why: quantiles of type 7 (linear interpolation at (n - 1) k / d), in integers and decimals only. Values have two
-- decimals and d is at most 9, so six decimals of a cut decide as the exact fraction would.
with

options as (
    select
        run,
        measure,
        definition,
        version,
        binning,
        cut_offset,
        divisions
    from rfm._options
    where binning in ('quantile', 'fixed')
),

ranked as (
    select
        run,
        measure,
        above,
        value,
        less,
        population
    from rfm._values
),

given as (
    select
        definition,
        version,
        measure,
        cut_no,
        cut
    from programme.rfm_cuts
),

numbers as (
    select cut_no
    from (values (1), (2), (3), (4), (5), (6), (7), (8)) as listed (cut_no)
),

groups as (
    select distinct
        ranked.run,
        ranked.measure,
        ranked.above,
        ranked.population,
        options.definition,
        options.version,
        options.binning,
        options.cut_offset,
        options.divisions
    from ranked
    inner join options
        on ranked.run = options.run
        and ranked.measure = options.measure
),

positions as (
    select
        groups.run,
        groups.measure,
        groups.above,
        numbers.cut_no,
        groups.divisions,
        groups.cut_offset,
        (groups.population - 1) * numbers.cut_no // groups.divisions as position,
        (groups.population - 1) * numbers.cut_no % groups.divisions as rest
    from groups
    inner join numbers
        on groups.divisions > numbers.cut_no
    where groups.binning = 'quantile'
),

neighbours as (
    select
        positions.run,
        positions.measure,
        positions.above,
        positions.cut_no,
        positions.divisions,
        positions.cut_offset,
        positions.rest,
        max(case when ranked.less <= positions.position then cast(ranked.value * 100 as bigint) end) as low,
        max(case when ranked.less <= positions.position + 1 then cast(ranked.value * 100 as bigint) end) as high
    from positions
    inner join ranked
        on positions.run = ranked.run
        and positions.measure = ranked.measure
        and positions.above = ranked.above
    group by
        positions.run,
        positions.measure,
        positions.above,
        positions.cut_no,
        positions.divisions,
        positions.cut_offset,
        positions.rest
),

quantiles as (
    select
        run,
        measure,
        above,
        cut_no,
        -- whole hundredths, then what is left of one in millionths, half-up
        cast(low + (high - low) * rest // divisions as decimal(18, 0)) * 0.01
        + cast(((high - low) * rest % divisions * 20000 + divisions) // (2 * divisions) as decimal(9, 0)) * 0.000001
        + cut_offset as cut
    from neighbours
)

select
    run,
    measure,
    above,
    cut_no,
    cast(cut as decimal(24, 6)) as cut
from quantiles

union all

select
    groups.run,
    groups.measure,
    groups.above,
    given.cut_no,
    cast(given.cut as decimal(24, 6)) as cut
from groups
inner join given
    on groups.definition = given.definition
    and groups.version = given.version
    and groups.measure = given.measure
where groups.binning = 'fixed'

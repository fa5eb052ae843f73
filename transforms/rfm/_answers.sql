-- The score of each imagined case of the level at work.
-- grain: run, mover, combination, measure
-- why: the others stand as they did on that date, and the mover among them with the imagined value in place of its
-- own; by cuts, the cuts of that date. So the two true cases come out as they were scored.
with

questions as (
    select
        run,
        side,
        measure,
        level,
        combination,
        mover,
        customer_id,
        within,
        value,
        own_value,
        belongs
    from rfm._questions
),

options as (
    select
        run,
        side,
        definition,
        version,
        as_of,
        measure,
        binning,
        cut_offset,
        divisions
    from rfm._pair_options
),

standings as (
    select
        run,
        side,
        measure,
        within,
        value,
        tie,
        customers
    from rfm._standings
),

thresholds as (
    select
        definition,
        as_of,
        measure,
        within,
        at_least
    from rfm.thresholds
    where at_least is not null
),

given as (
    select
        definition,
        version,
        measure,
        cut
    from programme.rfm_cuts
),

-- How many have less than a value and how many just this, for the values that are asked for.
values_in_line as (
    select
        run,
        side,
        measure,
        within,
        value,
        sum(customers) as customers
    from standings
    group by
        run,
        side,
        measure,
        within,
        value

    union all

    select distinct
        run,
        side,
        measure,
        within,
        value,
        0 as customers
    from questions
),

values_summed as (
    select
        run,
        side,
        measure,
        within,
        value,
        sum(customers) as customers
    from values_in_line
    group by
        run,
        side,
        measure,
        within,
        value
),

positions as (
    select
        run,
        side,
        measure,
        within,
        value,
        cast(customers as bigint) as customers,
        cast(
            sum(customers) over (
                partition by run, side, measure, within
                order by value
                rows between unbounded preceding and current row
            ) as bigint
        ) - cast(customers as bigint) as less,
        cast(sum(customers) over (partition by run, side, measure, within) as bigint) as population
    from values_summed
),

-- Where equal values are told apart by customer: how many of them come first.
line as (
    select
        run,
        side,
        measure,
        within,
        value,
        tie as customer_id,
        1 as stands,
        cast(null as bigint) as mover,
        cast(null as integer) as combination
    from standings
    where tie <> ''

    union all

    select
        questions.run,
        questions.side,
        questions.measure,
        questions.within,
        questions.value,
        questions.customer_id,
        0 as stands,
        questions.mover,
        questions.combination
    from questions
    inner join options
        on questions.run = options.run
        and questions.side = options.side
        and questions.measure = options.measure
    where options.binning = 'even'
),

places as (
    select
        run,
        measure,
        mover,
        combination,
        sum(stands) over (
            partition by run, side, measure, within, value
            order by customer_id, stands, combination
            rows between unbounded preceding and current row
        ) as before
    from line
),

ties as (
    select
        run,
        measure,
        mover,
        combination,
        before
    from places
    where mover is not null
),

-- Cuts reached, for the values that are asked for.
asked_values as (
    select distinct
        questions.run,
        questions.side,
        questions.measure,
        questions.within,
        questions.value,
        options.definition,
        options.version,
        options.as_of,
        options.binning,
        options.cut_offset,
        options.divisions
    from questions
    inner join options
        on questions.run = options.run
        and questions.side = options.side
        and questions.measure = options.measure
    where options.binning in ('quantile', 'fixed')
),

groups_with_cuts as (
    select distinct
        definition,
        as_of,
        measure,
        within
    from thresholds
),

reached as (
    select
        asked_values.run,
        asked_values.side,
        asked_values.measure,
        asked_values.within,
        asked_values.value,
        case
            -- alone in a group nobody was in: each quantile is the value itself
            when asked_values.binning = 'quantile' and max(groups_with_cuts.measure) is null then
                case when asked_values.cut_offset <= 0 then asked_values.divisions - 1 else 0 end
            when asked_values.binning = 'quantile' then count(thresholds.at_least)
            else count(given.cut)
        end as cuts
    from asked_values
    left join groups_with_cuts
        on asked_values.definition = groups_with_cuts.definition
        and asked_values.as_of = groups_with_cuts.as_of
        and asked_values.measure = groups_with_cuts.measure
        and asked_values.within = groups_with_cuts.within
    left join thresholds
        on asked_values.binning = 'quantile'
        and asked_values.definition = thresholds.definition
        and asked_values.as_of = thresholds.as_of
        and asked_values.measure = thresholds.measure
        and asked_values.within = thresholds.within
        and asked_values.value >= thresholds.at_least
    left join given
        on asked_values.binning = 'fixed'
        and asked_values.definition = given.definition
        and asked_values.version = given.version
        and asked_values.measure = given.measure
        and asked_values.value >= given.cut
    group by
        asked_values.run,
        asked_values.side,
        asked_values.measure,
        asked_values.within,
        asked_values.value,
        asked_values.binning,
        asked_values.cut_offset,
        asked_values.divisions
),

among_others as (
    select
        questions.run,
        questions.side,
        questions.measure,
        questions.level,
        questions.combination,
        questions.mover,
        questions.within,
        questions.value,
        positions.less - case when questions.belongs and questions.own_value < questions.value then 1 else 0 end
            as less,
        positions.customers - case when questions.belongs and questions.own_value = questions.value then 1 else 0 end
            as equal,
        positions.population - case when questions.belongs then 1 else 0 end + 1 as population
    from questions
    inner join positions
        on questions.run = positions.run
        and questions.side = positions.side
        and questions.measure = positions.measure
        and questions.within = positions.within
        and questions.value = positions.value
),

-- Long ago is worse, seldom and little are worse.
ranked as (
    select
        among_others.run,
        among_others.measure,
        among_others.level,
        among_others.combination,
        among_others.mover,
        among_others.equal,
        among_others.population,
        case among_others.measure
            when 'recency' then among_others.population - 1 - among_others.less - among_others.equal
            else among_others.less
        end as worse,
        options.binning,
        options.divisions,
        reached.cuts,
        ties.before,
        among_others.population // options.divisions as length,
        among_others.population % options.divisions as longer
    from among_others
    inner join options
        on among_others.run = options.run
        and among_others.side = options.side
        and among_others.measure = options.measure
    left join reached
        on among_others.run = reached.run
        and among_others.side = reached.side
        and among_others.measure = reached.measure
        and among_others.within = reached.within
        and among_others.value = reached.value
    left join ties
        on among_others.run = ties.run
        and among_others.measure = ties.measure
        and among_others.combination = ties.combination
        and among_others.mover = ties.mover
)

select
    run,
    mover,
    combination,
    measure,
    level,
    cast(
        case
            when binning = 'midrank'
                then least(divisions, 1 + divisions * (2 * worse + equal + 1) // (2 * population))
            when binning = 'even' and worse + before < longer * (length + 1)
                then 1 + (worse + before) // (length + 1)
            when binning = 'even'
                then 1 + longer + (worse + before - longer * (length + 1)) // nullif(length, 0)
            when measure = 'recency' then divisions - cuts
            else 1 + cuts
        end as integer
    ) as score
from ranked

-- The lowest and the highest value that got each score, and for how many customers: of the level at work.
-- grain: run, measure, above, score
-- why: a score is looked up between them, as an analyst would. Where `even` parts equal values at a border they stand
-- in two scores; `whole_lowest` and `whole_highest` are of the values that stand in this one alone.
with

levels as (
    select
        run,
        measure,
        level
    from rfm._options
),

counted as (
    select
        run,
        measure,
        above,
        score,
        value,
        value as whole,
        customers
    from rfm._value_scores
    where score = last_score

    union all

    select
        run,
        measure,
        above,
        score,
        value,
        cast(null as decimal(18, 2)) as whole,
        count(*) as customers
    from rfm._ties
    group by
        run,
        measure,
        above,
        score,
        value
)

select
    counted.run,
    levels.level,
    counted.measure,
    counted.above,
    counted.score,
    min(counted.value) as lowest,
    max(counted.value) as highest,
    min(counted.whole) as whole_lowest,
    max(counted.whole) as whole_highest,
    cast(sum(counted.customers) as bigint) as customers
from counted
inner join levels
    on counted.run = levels.run
    and counted.measure = levels.measure
group by
    counted.run,
    levels.level,
    counted.measure,
    counted.above,
    counted.score

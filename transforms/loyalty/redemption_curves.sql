-- How much of each earning cohort was redeemed by each age, and by chain ladder will be.
-- grain: program_id, reward_point_id, cohort, age
-- why: what will never be redeemed (breakage) is foretold from how earlier cohorts went on. An age is a number of months after
-- the cohort's own and is observed once its month is over. The factor to the next age is what all cohorts that have reached
-- it had redeemed there over what the same cohorts had before; each step is rounded half up to a hundredth of a point.
with recursive

months as (
    select
        program_id,
        reward_point_id,
        cohort,
        (year(month) - year(cohort)) * 12 + month(month) - month(cohort) as age,
        cast(-(redeemed + refunded) * 100 as bigint) as redeemed_h
    from loyalty.liability
    where cohort is not null
),

cohorts as (
    select
        program_id,
        reward_point_id,
        cohort,
        (year($business_date + 1) - year(cohort)) * 12 + month($business_date + 1) - month(cohort) - 1 as newest
    from months
    group by
        program_id,
        reward_point_id,
        cohort
),

listed as (
    select
        program_id,
        reward_point_id,
        cohort,
        newest,
        unnest(generate_series(0, newest, 1)) as age
    from cohorts
    where newest >= 0
),

seen as (
    select
        listed.program_id,
        listed.reward_point_id,
        listed.cohort,
        listed.newest,
        cast(listed.age as integer) as age,
        cast(greatest(coalesce(sum(months.redeemed_h), 0), 0) as hugeint) as redeemed_h
    from listed
    left join months
        on listed.program_id = months.program_id
        and listed.reward_point_id = months.reward_point_id
        and listed.cohort = months.cohort
        and listed.age >= months.age
    group by
        listed.program_id,
        listed.reward_point_id,
        listed.cohort,
        listed.newest,
        listed.age
),

factors as (
    select
        before.program_id,
        before.reward_point_id,
        before.age,
        sum(after.redeemed_h) as after_h,
        sum(before.redeemed_h) as before_h
    from seen as before
    inner join seen as after
        on before.program_id = after.program_id
        and before.reward_point_id = after.reward_point_id
        and before.cohort = after.cohort
        and before.age + 1 = after.age
    group by
        before.program_id,
        before.reward_point_id,
        before.age
    having sum(before.redeemed_h) > 0
),

ladder as (
    select
        program_id,
        reward_point_id,
        cohort,
        age,
        redeemed_h
    from seen
    where age = newest

    union all

    select
        ladder.program_id,
        ladder.reward_point_id,
        ladder.cohort,
        ladder.age + 1 as age,
        cast(
            (2 * ladder.redeemed_h * cast(factors.after_h as hugeint) + cast(factors.before_h as hugeint))
            // (2 * cast(factors.before_h as hugeint)) as hugeint
        ) as redeemed_h
    from ladder
    inner join factors
        on ladder.program_id = factors.program_id
        and ladder.reward_point_id = factors.reward_point_id
        and ladder.age = factors.age
),

curves as (
    select
        program_id,
        reward_point_id,
        cohort,
        age,
        true as observed,
        redeemed_h
    from seen

    union all

    select
        ladder.program_id,
        ladder.reward_point_id,
        ladder.cohort,
        ladder.age,
        false as observed,
        ladder.redeemed_h
    from ladder
    inner join cohorts
        on ladder.program_id = cohorts.program_id
        and ladder.reward_point_id = cohorts.reward_point_id
        and ladder.cohort = cohorts.cohort
    where ladder.age > cohorts.newest
)

select
    curves.program_id,
    curves.reward_point_id,
    curves.cohort,
    curves.age,
    curves.observed,
    cast(cast(curves.redeemed_h as decimal(30, 0)) * 0.01 as decimal(18, 2)) as redeemed,
    cast(
        cast(cast(factors.after_h as hugeint) * 1000000 // cast(factors.before_h as hugeint) as decimal(30, 0)) * 0.000001
        as decimal(18, 6)
    ) as factor
from curves
left join factors
    on curves.program_id = factors.program_id
    and curves.reward_point_id = factors.reward_point_id
    and curves.age = factors.age

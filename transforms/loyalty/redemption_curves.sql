-- How much of each earning cohort was redeemed by each age.
-- grain: program_id, reward_point_id, cohort, age
-- why: what will never be redeemed (breakage) is told only by what older cohorts did, at ages they have lived through. An age is
-- a number of months after the cohort's own and is there once its month is over; nothing is foretold here.
with

months as (
    select
        program_id,
        reward_point_id,
        cohort,
        (year(month) - year(cohort)) * 12 + month(month) - month(cohort) as age,
        -(redeemed + refunded) as redeemed
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
        unnest(generate_series(0, newest, 1)) as age
    from cohorts
    where newest >= 0
)

select
    listed.program_id,
    listed.reward_point_id,
    listed.cohort,
    cast(listed.age as integer) as age,
    cast(greatest(coalesce(sum(months.redeemed), 0), 0) as decimal(18, 2)) as redeemed
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
    listed.age

-- 1. The liability of every month is the entries posted in it; what is left of a cohort is what is left of its lots, or owed.
with

posted as (
    select
        program_id,
        reward_point_id,
        cast(date_trunc('month', posted_date) as date) as month,
        sum(points) as points
    from loyalty.entries
    group by
        program_id,
        reward_point_id,
        cast(date_trunc('month', posted_date) as date)
),

rolled as (
    select
        program_id,
        reward_point_id,
        month,
        cohort,
        opening,
        earned + adjusted + returned + transferred + redeemed + refunded + expired + written_off + corrected as moved,
        closing,
        row_number() over (partition by program_id, reward_point_id, cohort order by month desc) as newest
    from loyalty.liability
),

months as (
    select
        program_id,
        reward_point_id,
        month,
        sum(moved) as moved
    from rolled
    group by
        program_id,
        reward_point_id,
        month
),

held as (
    select
        program_id,
        reward_point_id,
        cast(date_trunc('month', earned_on) as date) as cohort,
        sum(remaining) as points
    from loyalty.lots
    group by
        program_id,
        reward_point_id,
        cast(date_trunc('month', earned_on) as date)

    union all

    select
        program_id,
        reward_point_id,
        cast(null as date) as cohort,
        -sum(deficit) as points
    from loyalty.balances
    group by
        program_id,
        reward_point_id
),

left_over as (
    select
        coalesce(held.program_id, rolled.program_id) as program_id,
        coalesce(held.reward_point_id, rolled.reward_point_id) as reward_point_id,
        coalesce(held.cohort, rolled.cohort) as cohort,
        coalesce(held.points, 0) as points,
        coalesce(rolled.closing, 0) as closing
    from held
    full outer join (select * from rolled where newest = 1) as rolled
        on held.program_id = rolled.program_id
        and held.reward_point_id = rolled.reward_point_id
        and held.cohort is not distinct from rolled.cohort
)

select
    'posted that month' as what,
    coalesce(posted.program_id, months.program_id) as program_id,
    coalesce(posted.reward_point_id, months.reward_point_id) as reward_point_id,
    coalesce(posted.month, months.month) as month,
    coalesce(posted.points, 0) as wanted,
    coalesce(months.moved, 0) as found
from posted
full outer join months
    on posted.program_id = months.program_id
    and posted.reward_point_id = months.reward_point_id
    and posted.month = months.month
where coalesce(posted.points, 0) <> coalesce(months.moved, 0)

union all

select
    'left of the cohort' as what,
    program_id,
    reward_point_id,
    cohort as month,
    points as wanted,
    closing as found
from left_over
where points <> closing

union all

select
    'opening and movements' as what,
    program_id,
    reward_point_id,
    month,
    opening + moved as wanted,
    closing as found
from rolled
where opening + moved <> closing

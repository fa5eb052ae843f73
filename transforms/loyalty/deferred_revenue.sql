-- Revenue deferred for points, by earning cohort: what of it is recognised by now, and what is still owed.
-- grain: program_id, reward_point_id, cohort
-- why: it is recognised in proportion to what is redeemed of all that will be, so that breakage is spread over redemptions; a
-- changed estimate is caught up at once. A cohort of which nothing is outstanding is recognised in full. The revenue of a
-- period is what is recognised at its end less at its beginning (kanta query --as-of).
with

deferred as (
    select
        program_id,
        reward_point_id,
        cohort,
        sum(deferred) as deferred
    from loyalty.revenue_split
    group by
        program_id,
        reward_point_id,
        cohort
),

progressed as (
    select
        deferred.program_id,
        deferred.reward_point_id,
        deferred.cohort,
        deferred.deferred,
        breakage.redeemed,
        breakage.ultimate,
        breakage.outstanding,
        cast(deferred.deferred * 100 as hugeint) as deferred_c,
        cast(greatest(breakage.redeemed, 0) * 100 as hugeint) as redeemed_h,
        cast(breakage.ultimate * 100 as hugeint) as ultimate_h
    from deferred
    inner join loyalty.breakage as breakage
        on deferred.program_id = breakage.program_id
        and deferred.reward_point_id = breakage.reward_point_id
        and deferred.cohort = breakage.cohort
),

recognised as (
    select
        program_id,
        reward_point_id,
        cohort,
        deferred,
        redeemed,
        ultimate,
        case
            when outstanding <= 0 then deferred_c
            when ultimate_h <= 0 or deferred_c <= 0 then 0
            else (2 * deferred_c * least(redeemed_h, ultimate_h) + ultimate_h) // (2 * ultimate_h)
        end as recognised_c
    from progressed
)

select
    program_id,
    reward_point_id,
    cohort,
    $business_date as as_of,
    cast(deferred as decimal(18, 2)) as deferred,
    redeemed,
    ultimate,
    cast(cast(recognised_c as decimal(30, 0)) * 0.01 as decimal(18, 2)) as recognised,
    cast(deferred - cast(recognised_c as decimal(30, 0)) * 0.01 as decimal(18, 2)) as remaining
from recognised

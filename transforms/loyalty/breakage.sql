-- What of each earning cohort will be redeemed in the end, what will not (breakage), and what the rest is worth.
-- grain: program_id, reward_point_id, cohort
-- why: the ultimate redemption is the end of the cohort's curve, but no more than what is redeemed and still outstanding. A cohort
-- that has redeemed nothing in a whole month yet, or in months of which the others tell nothing, takes the share of those that
-- have a curve; without any, all of it is expected.
with

cohorts as (
    select
        program_id,
        reward_point_id,
        cohort,
        sum(earned + adjusted + returned + transferred + written_off + corrected) as earned,
        -sum(redeemed + refunded) as redeemed,
        -sum(expired) as expired,
        sum(earned + adjusted + returned + transferred + redeemed + refunded + expired + written_off + corrected)
            as outstanding,
        max(value_per_point) as value_per_point
    from loyalty.liability
    where cohort is not null
    group by
        program_id,
        reward_point_id,
        cohort
),

curves as (
    select
        program_id,
        reward_point_id,
        cohort,
        max(age) as age,
        max_by(redeemed, age) as ultimate
    from loyalty.redemption_curves
    group by
        program_id,
        reward_point_id,
        cohort
),

-- A curve that ends although others went on redeeming, from nothing, says nothing of how it goes on.
ends as (
    select
        curves.program_id,
        curves.reward_point_id,
        curves.cohort,
        curves.ultimate
    from curves
    anti join loyalty.redemption_curves as others
        on curves.program_id = others.program_id
        and curves.reward_point_id = others.reward_point_id
        and curves.age + 1 = others.age
        and others.redeemed > 0
    where curves.ultimate > 0
),

bounded as (
    select
        cohorts.program_id,
        cohorts.reward_point_id,
        cohorts.cohort,
        cast(cohorts.earned * 100 as hugeint) as earned_h,
        cast(cohorts.redeemed * 100 as hugeint) as redeemed_h,
        cast(cohorts.expired * 100 as hugeint) as expired_h,
        cast(cohorts.outstanding * 100 as hugeint) as outstanding_h,
        cohorts.value_per_point,
        ends.ultimate is not null as laddered,
        cast(
            least(
                greatest(ends.ultimate, cohorts.redeemed),
                cohorts.redeemed + greatest(cohorts.outstanding, 0)
            ) * 100 as hugeint
        ) as ultimate_h
    from cohorts
    left join ends
        on cohorts.program_id = ends.program_id
        and cohorts.reward_point_id = ends.reward_point_id
        and cohorts.cohort = ends.cohort
),

shares as (
    select
        program_id,
        reward_point_id,
        cast(sum(ultimate_h) as hugeint) as ultimate_h,
        cast(sum(earned_h) as hugeint) as earned_h
    from bounded
    where laddered
    group by
        program_id,
        reward_point_id
    having sum(earned_h) > 0
),

estimated as (
    select
        bounded.program_id,
        bounded.reward_point_id,
        bounded.cohort,
        bounded.earned_h,
        bounded.redeemed_h,
        bounded.expired_h,
        bounded.outstanding_h,
        bounded.value_per_point,
        case
            when bounded.laddered then 'chain_ladder'
            when shares.earned_h is not null then 'share_of_others'
            else 'all'
        end as method,
        case
            when bounded.laddered then bounded.ultimate_h
            when shares.earned_h is null then bounded.redeemed_h + greatest(bounded.outstanding_h, 0)
            else least(
                greatest(
                    (2 * bounded.earned_h * shares.ultimate_h + shares.earned_h) // (2 * shares.earned_h),
                    bounded.redeemed_h
                ),
                bounded.redeemed_h + greatest(bounded.outstanding_h, 0)
            )
        end as ultimate_h
    from bounded
    left join shares
        on bounded.program_id = shares.program_id
        and bounded.reward_point_id = shares.reward_point_id
)

select
    program_id,
    reward_point_id,
    cohort,
    $business_date as as_of,
    cast(cast(earned_h as decimal(30, 0)) * 0.01 as decimal(18, 2)) as earned,
    cast(cast(redeemed_h as decimal(30, 0)) * 0.01 as decimal(18, 2)) as redeemed,
    cast(cast(expired_h as decimal(30, 0)) * 0.01 as decimal(18, 2)) as expired,
    cast(cast(outstanding_h as decimal(30, 0)) * 0.01 as decimal(18, 2)) as outstanding,
    method,
    cast(cast(ultimate_h as decimal(30, 0)) * 0.01 as decimal(18, 2)) as ultimate,
    cast(cast(earned_h - ultimate_h as decimal(30, 0)) * 0.01 as decimal(18, 2)) as breakage,
    cast(
        case
            when earned_h > 0
                then cast((2000000 * ultimate_h + earned_h) // (2 * earned_h) as decimal(30, 0)) * 0.000001
        end as decimal(18, 6)
    ) as redemption_rate,
    value_per_point,
    cast(
        round(cast(cast(ultimate_h - redeemed_h as decimal(30, 0)) * 0.01 as decimal(18, 2)) * value_per_point, 2)
        as decimal(18, 2)
    ) as expected_value
from estimated

-- What of each earning cohort will be redeemed in the end, what will not (breakage), and what the rest is worth.
-- grain: program_id, reward_point_id, cohort
-- why: no breakage without evidence; how it is estimated stands in loyalty._redemption_estimates. What can never be redeemed,
-- because the programme says so of its kind, has no estimate and no value: its columns are empty.
with

worth as (
    select
        program_id,
        reward_point_id,
        cohort,
        max(value_per_point) as value_per_point
    from loyalty.liability
    group by
        program_id,
        reward_point_id,
        cohort
)

select
    estimates.program_id,
    estimates.reward_point_id,
    estimates.cohort,
    estimates.as_of,
    estimates.earned,
    estimates.redeemed,
    estimates.expired,
    estimates.outstanding,
    estimates.method,
    estimates.older_cohorts,
    estimates.months_seen,
    estimates.months_of_life,
    estimates.ultimate,
    estimates.ultimate_low,
    estimates.ultimate_high,
    cast(estimates.earned - estimates.ultimate as decimal(18, 2)) as breakage,
    cast(
        case
            when estimates.earned > 0
                then cast(
                    (2000000 * cast(estimates.ultimate * 100 as hugeint) + cast(estimates.earned * 100 as hugeint))
                    // (2 * cast(estimates.earned * 100 as hugeint)) as decimal(30, 0)
                ) * 0.000001
        end as decimal(18, 6)
    ) as redemption_rate,
    worth.value_per_point,
    cast(
        round(cast(estimates.ultimate - estimates.redeemed as decimal(38, 2)) * worth.value_per_point, 2) as decimal(18, 2)
    ) as expected_value
from loyalty._redemption_estimates as estimates
left join worth
    on estimates.program_id = worth.program_id
    and estimates.reward_point_id = worth.reward_point_id
    and estimates.cohort = worth.cohort
where estimates.as_of = $business_date

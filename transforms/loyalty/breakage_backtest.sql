-- What would have been expected of each earning cohort a year ago, beside what was redeemed since.
-- grain: program_id, reward_point_id, cohort
-- why: an estimate nobody checks is a guess. The same rule is worked out on what was posted up to the end of the month twelve
-- before the newest that is over. What is still held may yet be redeemed: a cohort is settled when nothing is held any more.
select
    past.program_id,
    past.reward_point_id,
    past.cohort,
    past.as_of as estimated_on,
    now.as_of,
    past.method,
    past.months_seen,
    past.months_of_life,
    past.outstanding as held_then,
    cast(past.ultimate - past.redeemed as decimal(18, 2)) as expected_then,
    cast(past.ultimate_low - past.redeemed as decimal(18, 2)) as expected_low,
    cast(past.ultimate_high - past.redeemed as decimal(18, 2)) as expected_high,
    cast(now.redeemed - past.redeemed as decimal(18, 2)) as redeemed_since,
    cast(greatest(now.outstanding, 0) as decimal(18, 2)) as held_now,
    cast(now.redeemed - past.ultimate as decimal(18, 2)) as difference
from loyalty._redemption_estimates as past
inner join loyalty._redemption_estimates as now
    on past.program_id = now.program_id
    and past.reward_point_id = now.reward_point_id
    and past.cohort = now.cohort
where
    past.as_of < $business_date
    and now.as_of = $business_date
    and past.outstanding > 0
    and past.ultimate is not null

-- What of each month of earning is expected to be redeemed, and what that rests on.
-- grain: program_id, reward_point_id, cohort
-- why: what is owed is no more than this, and no less than evidence allows; only what can be redeemed and is not over.
select
    program_id,
    reward_point_id,
    cohort,
    method,
    older_cohorts,
    months_seen,
    months_of_life,
    outstanding,
    ultimate - redeemed as expected,
    ultimate_low - redeemed as expected_low,
    ultimate_high - redeemed as expected_high,
    expected_value
from loyalty.breakage
where method <> 'ended'

-- For how many months after its own the points of each earning cohort can be redeemed.
-- grain: program_id, reward_point_id, cohort
-- why: a cohort teaches others only for the months it has lived through, and all of its life is only over when its last lot has
-- expired. A lot counts as if it had been earned on the last day of its month, so that a month that is not over already has
-- the life it will have. Empty where a lot never expires.
with

lots as (
    select
        lot_id,
        -- What takes a lot of another kind back is of the same change as what it is now.
        max_by(program_id, (seq, points, earned_on)) as program_id,
        max_by(reward_point_id, (seq, points, earned_on)) as reward_point_id,
        max_by(earned_on, (seq, points, earned_on)) as earned_on,
        max(coalesce(expires_on, date '9999-12-31')) as expires_on
    from loyalty.lot_postings
    group by lot_id
),

shifted as (
    select
        program_id,
        reward_point_id,
        cast(date_trunc('month', earned_on) as date) as cohort,
        case
            when expires_on < date '9999-12-31'
                then cast(expires_on + cast(last_day(earned_on) - earned_on as integer) as date)
        end as last_day
    from lots
)

select
    program_id,
    reward_point_id,
    cohort,
    case
        when count(last_day) = count(*)
            then cast((year(max(last_day)) - year(cohort)) * 12 + month(max(last_day)) - month(cohort) as integer)
    end as months_of_life
from shifted
group by
    program_id,
    reward_point_id,
    cohort

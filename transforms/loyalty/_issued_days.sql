-- Points issued on each day of the accounts worked out tonight, and whether any were earned or adjusted upwards.
-- grain: card_id, program_id, reward_point_id, business_date
-- why: redemptions do not count towards a tier; only a day that earns is looked at (spec 2-loyalty section 6). An account
-- that goes on from its open lots adds what was posted on earlier nights. Of points that a cap may cut what was credited counts.
with

tonight as (
    select
        card_id,
        program_id,
        reward_point_id,
        business_date,
        points_h,
        points_h > 0 and event_type in ('earn', 'adjust') as raises
    from loyalty._events
    where
        (
            event_type in ('earn', 'return_earned')
            or event_type = 'adjust'
            and points_h > 0
        )
        and reward_point_id not in (select reward_point_id from loyalty._capped_tier_points)

    union all

    select
        card_id,
        program_id,
        reward_point_id,
        business_date,
        points_h,
        points_h > 0 as raises
    from loyalty._credited
),

both_parts as (
    select * from tonight
    union all by name
    select * from loyalty._issued_before
)

select
    card_id,
    program_id,
    reward_point_id,
    business_date,
    sum(points_h) as points_h,
    bool_or(raises) as raises
from both_parts
group by
    card_id,
    program_id,
    reward_point_id,
    business_date

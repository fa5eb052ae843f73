-- Adjustments as their newest drop has them, dated up to tonight.
-- grain: adjustment_id
with

adjustments as (
    select
        adjustment_id,
        card_id,
        program_id,
        reward_point_id,
        points,
        date as business_date,
        drop_date,
        drop_id,
        seq
    from landed.loyalty_adjustments
    where drop_date <= $business_date
)

select
    adjustment_id,
    card_id,
    program_id,
    reward_point_id,
    points,
    business_date,
    greatest(seq, 0) > $since or greatest(business_date, drop_date) > $since_date as is_new,
    count(*) over (partition by adjustment_id) > 1 as came_before,
    case when drop_date > $published_date then greatest(drop_date, business_date) else $business_date end as posted_date
from adjustments
where business_date <= $business_date
qualify row_number() over (partition by adjustment_id order by drop_date desc, drop_id desc) = 1

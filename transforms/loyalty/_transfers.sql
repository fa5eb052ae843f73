-- Transfers of points between cards as their newest drop has them, dated up to tonight.
-- grain: transfer_id
with

transfers as (
    select
        transfer_id,
        from_card_id,
        to_card_id,
        reward_point_id,
        points,
        date as business_date,
        drop_date,
        drop_id,
        seq
    from landed.loyalty_transfers
    where drop_date <= $business_date
)

select
    transfer_id,
    from_card_id,
    to_card_id,
    reward_point_id,
    points,
    business_date,
    seq > $since or greatest(business_date, drop_date) > $since_date as is_new,
    count(*) over (partition by transfer_id) > 1 as came_before,
    case when drop_date > $published_date then greatest(drop_date, business_date) else $business_date end as posted_date
from transfers
where business_date <= $business_date
qualify row_number() over (partition by transfer_id order by drop_date desc, drop_id desc) = 1

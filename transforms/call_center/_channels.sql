-- What orders take from the channel that took them, by the newest record.
-- grain: channel_id
with

channels as (
    select
        channel_id,
        time_zone,
        warehouse,
        drop_date,
        drop_id
    from landed.channels
    where drop_date <= $business_date
)

select
    channel_id,
    time_zone,
    warehouse
from channels
qualify row_number() over (partition by channel_id order by drop_date desc, drop_id desc) = 1

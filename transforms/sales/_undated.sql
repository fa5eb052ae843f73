-- The business date of receipts that name none.
-- grain: transaction_id, drop_id
-- why: such a receipt belongs to the local date on which it began, and never to a later one than its drop's. Landing keeps a
-- time without offset as if it were UTC and says so: it is its store's clock already.
select
    landed.transaction_id,
    landed.drop_id,
    least(
        case
            when landed.started_local then cast(timezone('UTC', landed.started_at) as date)
            else cast(timezone(coalesce(zones.time_zone, 'UTC'), landed.started_at) as date)
        end,
        landed.drop_date
    ) as business_date
from landed.transactions as landed
left join reference.channels as channels
    on landed.store_id = channels.channel_id
    and cast(timezone('UTC', landed.started_at) as date) between channels.valid_from and channels.valid_to
left join sales._time_zones as zones
    on channels.time_zone = zones.time_zone
where
    landed.business_date is null
    and landed.drop_date <= $business_date

-- When each copy of the touched documents happened, and its business date.
-- grain: kind, document_id, drop_id
-- why: a time without offset is its channel's clock; an hour that comes twice is the first, one that summer time skips moves
-- by the gap (spec 7-seeds-whole section 9). Landing keeps such a time as if it were UTC and says so.
with

documents as (
    select
        'transaction' as kind,
        landed.transaction_id as document_id,
        landed.drop_id,
        landed.store_id as channel_id,
        coalesce(landed.business_date, undated.business_date) as business_date,
        landed.ended_at as happened_at,
        coalesce(landed.ended_local, false) as happened_local
    from landed.transactions as landed
    left join sales._undated as undated
        on landed.transaction_id = undated.transaction_id
        and landed.drop_id = undated.drop_id
    where
        landed.drop_date <= $business_date
        and landed.transaction_id in (select document_id from sales._touched where kind = 'transaction')

    union all

    select
        'order' as kind,
        order_id as document_id,
        drop_id,
        call_center_id as channel_id,
        invoiced_date as business_date,
        ordered_at as happened_at,
        coalesce(ordered_local, false) as happened_local
    from landed.orders
    where
        drop_date <= $business_date
        and order_id in (select document_id from sales._touched where kind = 'order')
),

zoned as (
    select
        documents.*,
        coalesce(zones.time_zone, 'UTC') as time_zone,
        timezone('UTC', documents.happened_at) as clock,
        timezone(coalesce(zones.time_zone, 'UTC'), timezone('UTC', documents.happened_at)) as latest
    from documents
    left join reference.channels as channels
        on documents.channel_id = channels.channel_id
        and documents.business_date between channels.valid_from and channels.valid_to
    left join sales._time_zones as zones
        on channels.time_zone = zones.time_zone
)

select
    kind,
    document_id,
    drop_id,
    business_date,
    case
        when happened_local
            then least(
                latest,
                case when timezone(time_zone, latest - interval 30 minute) = clock then latest - interval 30 minute end,
                case when timezone(time_zone, latest - interval 60 minute) = clock then latest - interval 60 minute end,
                case when timezone(time_zone, latest - interval 120 minute) = clock then latest - interval 120 minute end
            )
        else happened_at
    end as occurred_at
from zoned

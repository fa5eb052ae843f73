-- The first day of each store of which it sent anything, and the first that tonight's drops brought anything of.
-- grain: store_id
select
    receipts.store_id,
    min(receipts.business_date) as first_day,
    min(receipts.business_date) filter (where drops.drop_id is not null) as first_day_tonight
from ops._seen_receipts as receipts
left join sales._touched_drops as drops
    on receipts.drop_id = drops.drop_id
group by receipts.store_id

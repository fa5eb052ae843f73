-- Orders to judge tonight: those that tonight's drops bring or used to bring, and all that are still open or submitted.
-- grain: order_id
-- why: dates, customers and reference data change what holds for an open order without a drop that names it.
with

touched_drops as (
    select drop_id
    from sales._touched_drops
)

select order_id
from landed.orders
where drop_id in (select drop_id from touched_drops)

union

select order_id
from landed.hold_events
where drop_id in (select drop_id from touched_drops)

union

select order_id
from call_center.hold_events
where drop_id in (select drop_id from touched_drops)

union

select order_id
from call_center.order_status
where
    status in ('open', 'submitted')
    or drop_id in (select drop_id from touched_drops)

union

select order_id
from call_center.fraud_checks
where checked_on in (select checked_on from call_center._fraud_days)

union

select order_id
from landed.orders
where drop_date in (select checked_on from call_center._fraud_days)

-- The orders to work out: all of them, when a view is read.
-- grain: order_id
-- why: a night judges tonight's orders only, and puts those in this step's place; the rules are the same.
select order_id
from landed.orders
where drop_date <= $business_date

union

select order_id
from call_center.hold_events

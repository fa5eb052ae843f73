-- Every version landed of each order in scope.
-- grain: order_id, drop_id
select *
from call_center._known_orders
where
    drop_date <= $business_date
    and order_id in (select order_id from call_center._scope)

-- Versions of orders whose customer stands for nobody now and did not when orders were last judged, or the other way round.
-- grain: order_id, drop_id
select
    orders.order_id,
    orders.drop_id,
    orders.drop_date
from landed.orders as orders
inner join sales._changed_placeholders as changed
    on trim(orders.customer_id) = changed.exact_id
    and orders.business_date between changed.valid_from and changed.valid_to
where orders.drop_date <= $business_date

union

select
    orders.order_id,
    orders.drop_id,
    orders.drop_date
from landed.orders as orders
inner join sales._changed_placeholders as changed
    on case when ltrim(trim(orders.customer_id), '0') = '' then '0' else lower(trim(orders.customer_id)) end
    = changed.folded_id
    and orders.business_date between changed.valid_from and changed.valid_to
where orders.drop_date <= $business_date

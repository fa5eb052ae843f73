-- Every version landed of every order, with the customer it names; one that stands for nobody on its business date is none.
-- grain: order_id, drop_id
-- why: orders are judged before they are sold, so that customers.receipts does not know them yet (spec 7-seeds-whole
-- section 12). Who asks for the customer of an order asks here.
select
    orders.* replace (
        case when exact.exact_id is null and folded.folded_id is null then orders.customer_id end as customer_id
    )
from landed.orders as orders
left join sales._placeholders as exact
    on trim(orders.customer_id) = exact.exact_id
    and orders.business_date between exact.valid_from and exact.valid_to
left join sales._placeholders as folded
    on case when ltrim(trim(orders.customer_id), '0') = '' then '0' else lower(trim(orders.customer_id)) end
    = folded.folded_id
    and orders.business_date between folded.valid_from and folded.valid_to

-- Checked receipts that name a customer whom nobody knows.
-- grain: transaction_id, drop_id
-- why: ids that stand for nobody are no customer's, so they need not be known (sales._placeholders).
select
    transaction_id,
    drop_id,
    store_id,
    business_date,
    customer_id
from ops._receipt_headers
where
    customer_id is not null
    and customer_id not in (select customer_id from ops._known_customers)

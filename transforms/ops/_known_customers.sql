-- Ids by which a receipt may name a customer: accounts, and the GUIDs of those who have or had none.
-- grain: customer_id
select account as customer_id
from customers.customers
where account is not null

union

select async_id as customer_id
from customers.customers
where async_id is not null

union

select async_id as customer_id
from customers.account_map
where async_id is not null

-- The customers that go to each database: involved and synced.
-- grain: database, account
select
    involved.database,
    customers.account
from distribution._involved_customers as involved
inner join distribution._customers_now as customers
    on involved.customer_id = customers.account
where customers.status = 'synced'

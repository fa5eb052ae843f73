-- Dataset customers of each database: those involved and synced, as the master has them.
-- grain: database, customer_id
select
    synced.database,
    customers.account as customer_id,
    customers.async_id,
    customers.customer_type,
    customers.first_name,
    customers.last_name,
    customers.organization_name,
    customers.email,
    customers.phone,
    customers.receipt_option,
    customers.receipt_email,
    customers.currency,
    customers.language,
    customers.customer_group,
    customers.block_loyalty_enrollment,
    customers.on_hold
from distribution._synced_customers as synced
inner join distribution._customers_now as customers
    on synced.account = customers.account

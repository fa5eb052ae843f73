-- Customers of whom nothing is left tonight: each of their operations was withdrawn or is another's now.
-- grain: account
with

ids as (
    select id
    from customers._concerned
    where id not in (select owner from customers._operations)
)

select distinct owner as account
from customers.operation_versions
where owner in (select id from ids)

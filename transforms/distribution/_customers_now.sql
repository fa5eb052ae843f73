-- Customers as the master has them now.
-- grain: account
with

versions as (
    select
        *,
        row_number() over (partition by account order by valid_from desc, created_at desc nulls last) as age
    from customers.customers
)

select *
from versions
where age = 1

-- Customers as the master has them on the opening day.
-- grain: account
with

request as (
    select opening_day
    from distribution._request
)

select customers.*
from customers.customers as customers
inner join request
    on request.opening_day >= customers.valid_from
    and request.opening_day < coalesce(customers.valid_to, date '9999-12-31')

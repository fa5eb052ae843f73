-- Dataset addresses of each database: their addresses in force on the opening day.
-- grain: database, customer_id, address_id
with

request as (
    select opening_day
    from distribution._request
)

select
    synced.database,
    synced.account as customer_id,
    addresses.address_id,
    addresses.name,
    addresses.phone,
    addresses.purpose,
    addresses.street,
    addresses.city,
    addresses.zip,
    addresses.state,
    addresses.country,
    addresses.is_primary
from distribution._synced_customers as synced
inner join customers.addresses as addresses
    on synced.account = addresses.account
inner join request
    on request.opening_day >= addresses.known_from
    and request.opening_day < coalesce(addresses.known_to, date '9999-12-31')
where
    coalesce(addresses.valid_from, request.opening_day) <= request.opening_day
    and coalesce(addresses.valid_to, request.opening_day) >= request.opening_day

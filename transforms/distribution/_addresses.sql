-- Dataset addresses of each database: their addresses in force on the opening day.
-- grain: database, customer_id, address_id
with

request as (
    select opening_day
    from distribution._request
),

versions as (
    select
        *,
        row_number() over (partition by account, address_id order by known_from desc, valid_from desc nulls last) as age
    from customers.addresses
)

select
    synced.database,
    synced.account as customer_id,
    versions.address_id,
    versions.name,
    versions.phone,
    versions.purpose,
    versions.street,
    versions.city,
    versions.zip,
    versions.state,
    versions.country,
    versions.is_primary
from distribution._synced_customers as synced
inner join versions
    on synced.account = versions.account
inner join request
    on coalesce(versions.valid_from, request.opening_day) <= request.opening_day
    and coalesce(versions.valid_to, request.opening_day) >= request.opening_day
where
    versions.age = 1
    and versions.known_to is null

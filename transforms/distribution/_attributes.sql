-- Dataset attributes of each database: their attributes.
-- grain: database, customer_id, attribute
with

request as (
    select opening_day
    from distribution._request
),

versions as (
    select
        *,
        row_number() over (partition by account, attribute order by valid_from desc, value) as age
    from customers.attributes
)

select
    synced.database,
    synced.account as customer_id,
    versions.attribute,
    versions.value
from distribution._synced_customers as synced
inner join versions
    on synced.account = versions.account
inner join request
    on versions.valid_to is null
    or cast(versions.valid_to as date) > request.opening_day
where versions.age = 1

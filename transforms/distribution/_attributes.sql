-- Dataset attributes of each database: their attributes.
-- grain: database, customer_id, attribute
with

request as (
    select opening_day
    from distribution._request
)

select
    synced.database,
    synced.account as customer_id,
    attributes.attribute,
    attributes.value
from distribution._synced_customers as synced
inner join customers.attributes as attributes
    on synced.account = attributes.account
inner join request
    on request.opening_day >= attributes.valid_from
    and request.opening_day < coalesce(attributes.valid_to, date '9999-12-31')

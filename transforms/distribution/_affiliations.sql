-- Dataset affiliations of each database: their affiliations that have not ended, also those to come.
-- grain: database, customer_id, affiliation_id
with

request as (
    select opening_day
    from distribution._request
),

versions as (
    select
        *,
        row_number() over (partition by account, affiliation_id order by known_from desc, valid_from desc) as age
    from customers.affiliations
)

select
    synced.database,
    synced.account as customer_id,
    versions.affiliation_id,
    versions.valid_from,
    versions.valid_to
from distribution._synced_customers as synced
inner join versions
    on synced.account = versions.account
inner join request
    on versions.valid_to is null
    or versions.valid_to >= request.opening_day
where
    versions.age = 1
    and versions.known_to is null

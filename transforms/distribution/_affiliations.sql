-- Dataset affiliations of each database: their affiliations that have not ended, also those to come.
-- grain: database, customer_id, affiliation_id
with

request as (
    select opening_day
    from distribution._request
)

select
    synced.database,
    synced.account as customer_id,
    affiliations.affiliation_id,
    affiliations.valid_from,
    affiliations.valid_to
from distribution._synced_customers as synced
inner join customers.affiliations as affiliations
    on synced.account = affiliations.account
inner join request
    on request.opening_day >= affiliations.known_from
    and request.opening_day < coalesce(affiliations.known_to, date '9999-12-31')
where coalesce(affiliations.valid_to, request.opening_day) >= request.opening_day

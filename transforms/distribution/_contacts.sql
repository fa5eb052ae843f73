-- Dataset contacts of each database: how its customers can be reached; no answer is no consent.
-- grain: database, customer_id, contact_no
with

request as (
    select opening_day
    from distribution._request
),

versions as (
    select
        *,
        row_number() over (partition by account, contact_no order by valid_from desc, value) as age
    from customers.contacts
)

select
    synced.database,
    synced.account as customer_id,
    versions.contact_no,
    versions.kind,
    versions.value,
    versions.is_primary,
    coalesce(versions.consent, false) as consent
from distribution._synced_customers as synced
inner join versions
    on synced.account = versions.account
inner join request
    on versions.valid_to is null
    or cast(versions.valid_to as date) > request.opening_day
where versions.age = 1

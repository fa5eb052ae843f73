-- Dataset contacts of each database: how its customers can be reached; no answer is no consent.
-- grain: database, customer_id, contact_no
with

request as (
    select opening_day
    from distribution._request
)

select
    synced.database,
    synced.account as customer_id,
    contacts.contact_no,
    contacts.kind,
    contacts.value,
    contacts.is_primary,
    coalesce(contacts.consent, false) as consent
from distribution._synced_customers as synced
inner join customers.contacts as contacts
    on synced.account = contacts.account
inner join request
    on request.opening_day >= contacts.valid_from
    and request.opening_day < coalesce(contacts.valid_to, date '9999-12-31')

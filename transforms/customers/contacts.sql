-- Email addresses and phone numbers of customers with their consent, as of any day.
-- grain: account, contact_no, valid_from
-- why: a night works a customer out as a whole and writes it beside what was; only the newest counts.
with

versions as (
    select *
    from customers.contact_versions
),

newest as (
    select
        account,
        max(seq) as seq
    from customers.customer_versions
    group by account
)

select
    versions.account,
    versions.contact_no,
    versions.valid_from,
    versions.valid_to,
    versions.kind,
    versions.value,
    versions.normalized,
    versions.is_primary,
    versions.is_valid,
    versions.consent,
    versions.consent_at,
    versions.consent_channel_id
from versions
inner join newest
    on versions.account = newest.account
    and versions.seq = newest.seq

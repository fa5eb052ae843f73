-- Email addresses and phone numbers of customers with their consent, as of any day.
-- grain: account, contact_no, valid_from
-- why: of a customer's versions those count that customers._newest says.
with

versions as (
    select *
    from customers.contact_versions
),

newest as (
    select *
    from customers._newest
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
    and versions.seq >= newest.whole_seq
    and (versions.seq = newest.seq or versions.valid_to < date '9999-12-31')

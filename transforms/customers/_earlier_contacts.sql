-- Contacts that earlier nights found for the customers worked out tonight: those that stand, of whom tonight only adds to,
-- and any that ever stood of the others.
-- grain: one version of a contact, as one night worked it out
-- why: every contact ever is read once a night, and but once; what was read of them then need not be read again.
with

concerned as (
    select id
    from customers._concerned
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
    versions.consent_channel_id,
    versions.seq
from customers.contact_versions as versions
left join customers._continued as continued
    on versions.account = continued.account
where
    versions.valid_to = date '9999-12-31'
    and versions.account in (select id from concerned)
    and versions.seq = coalesce(continued.seq, versions.seq)

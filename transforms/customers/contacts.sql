-- Email addresses and phone numbers of customers with their consent, as of any day.
-- grain: account, contact_no, valid_from
-- why: a night writes what it made of a customer beside what was: of what still stands only the newest counts, of what
-- has ended all since the customer was last worked out whole.
with

versions as (
    select *
    from customers.contact_versions
),

newest as (
    select
        account,
        max(seq) as seq,
        max(whole_seq) as whole_seq
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
    and versions.seq >= newest.whole_seq
    and (versions.seq = newest.seq or versions.valid_to < date '9999-12-31')

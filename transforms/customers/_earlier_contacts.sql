-- Contacts that earlier nights found for the customers worked out tonight, whether they still count or not.
-- grain: one version of a contact, as one night worked it out
-- why: every contact ever is read once a night, and but once; what was read of them then need not be read again.
with

concerned as (
    select id
    from customers._concerned
)

select
    account,
    valid_to,
    kind,
    value,
    normalized,
    is_valid,
    seq
from customers.contact_versions
where account in (select id from concerned)

-- Contacts that earlier nights found for the customers worked out tonight, whether they still count or not.
-- grain: account, contact_no, valid_from, seq
-- why: every contact ever is read once a night, and but once; what was read of them then need not be read again.
with

concerned as (
    select id
    from customers._concerned
)

select
    account,
    contact_no,
    valid_from,
    valid_to,
    kind,
    value,
    normalized,
    is_valid,
    seq
from customers.contact_versions
where account in (select id from concerned)

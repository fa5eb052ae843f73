-- Postal addresses of customers, as of any day.
-- grain: account, address_id, known_from
-- why: of a customer's versions those count that customers._newest says.
with

versions as (
    select *
    from customers.address_versions
),

newest as (
    select *
    from customers._newest
)

select
    versions.account,
    versions.address_id,
    versions.known_from,
    versions.known_to,
    versions.name,
    versions.phone,
    versions.purpose,
    versions.street,
    versions.city,
    versions.zip,
    versions.state,
    versions.country,
    versions.is_primary,
    versions.valid_from,
    versions.valid_to
from versions
inner join newest
    on versions.account = newest.account
    and versions.seq >= newest.whole_seq
    and (versions.seq = newest.seq or versions.known_to < date '9999-12-31')

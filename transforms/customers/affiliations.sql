-- Which customers belong to which affiliation, when, and from which day facts see it so.
-- grain: account, affiliation_id, known_from
-- why: of a customer's versions those count that customers._newest says.
with

versions as (
    select *
    from customers.affiliation_versions
),

newest as (
    select *
    from customers._newest
)

select
    versions.account,
    versions.affiliation_id,
    versions.known_from,
    versions.known_to,
    versions.valid_from,
    versions.valid_to,
    versions.inherited
from versions
inner join newest
    on versions.account = newest.account
    and versions.seq >= newest.whole_seq
    and (versions.seq = newest.seq or versions.known_to < date '9999-12-31')

-- Which customers belong to which affiliation, when, and from which day facts see it so.
-- grain: account, affiliation_id, known_from
-- why: a night works a customer out as a whole and writes it beside what was; only the newest counts.
with

versions as (
    select *
    from customers.affiliation_versions
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
    versions.affiliation_id,
    versions.known_from,
    versions.known_to,
    versions.valid_from,
    versions.valid_to,
    versions.inherited
from versions
inner join newest
    on versions.account = newest.account
    and versions.seq = newest.seq

-- Which customers belong to which affiliation, when, and from which day facts see it so.
-- grain: account, affiliation_id, known_from
-- why: a night writes what it made of a customer beside what was: of what still stands only the newest counts, of what
-- has ended all since the customer was last worked out whole.
with

versions as (
    select *
    from customers.affiliation_versions
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

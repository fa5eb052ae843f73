-- Customers of equal name and equal email or phone, who may be one; lower account first.
-- grain: account, other_account, matched_on
-- why: only pairs with a customer of tonight can be new or gone, so versions of others are read only where a contact is
-- shared; names are compared without case, accents and spaces.
with

touched as (
    select id
    from customers._concerned
),

tonight as (
    select
        account,
        kind,
        normalized
    from customers._contact_history
    where
        account in (select id from touched)
        and valid_to = date '9999-12-31'
        and is_valid
),

pairs as (
    select
        tonight.account,
        others.account as other_account,
        others.seq as other_seq,
        tonight.kind
    from tonight
    inner join customers.contact_versions as others
        on tonight.kind = others.kind
        and tonight.normalized = others.normalized
        and tonight.account <> others.account
    where
        others.valid_to = date '9999-12-31'
        and others.is_valid
),

versions as (
    select
        account,
        valid_to,
        status,
        concat(organization_name, first_name, middle_name, last_name) as name,
        seq,
        max(seq) over (partition by account) as newest_seq
    from customers.customer_versions
    where
        account in (
            select account
            from pairs

            union

            select other_account as account
            from pairs
        )
),

customers as (
    select
        account,
        seq,
        regexp_replace(strip_accents(lower(name)), '\s', '', 'g') as name
    from versions
    where
        seq = newest_seq
        and valid_to = date '9999-12-31'
        and status = 'synced'
        and name <> ''
),

shared as (
    select distinct
        least(pairs.account, pairs.other_account) as account,
        greatest(pairs.account, pairs.other_account) as other_account,
        pairs.kind as matched_on
    from pairs
    inner join customers as ones
        on pairs.account = ones.account
    inner join customers as others
        on pairs.other_account = others.account
        and pairs.other_seq = others.seq
    where ones.name = others.name
),

untouched as (
    select
        account,
        other_account,
        matched_on
    from customers.likely_duplicates
    where
        account not in (select id from touched)
        and other_account not in (select id from touched)
)

select
    account,
    other_account,
    matched_on
from shared

union all

select
    account,
    other_account,
    matched_on
from untouched

-- Customers of equal name and equal email or phone, who may be one; lower account first.
-- grain: account, other_account, matched_on
-- why: only pairs with a customer of tonight can be new or gone; names are compared without case, accents and spaces.
with

touched as (
    select id
    from customers._concerned
),

customers as (
    select
        account,
        concat(organization_name, first_name, middle_name, last_name) as name
    from customers.customers
    where
        valid_to = date '9999-12-31'
        and status = 'synced'
),

contacts as (
    select
        account,
        kind,
        normalized
    from customers.contacts
    where
        valid_to = date '9999-12-31'
        and is_valid
),

shared as (
    select distinct
        least(tonight.account, others.account) as account,
        greatest(tonight.account, others.account) as other_account,
        tonight.kind as matched_on
    from contacts as tonight
    inner join contacts as others
        on tonight.kind = others.kind
        and tonight.normalized = others.normalized
        and tonight.account <> others.account
    where tonight.account in (select id from touched)
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
    shared.account,
    shared.other_account,
    shared.matched_on
from shared
inner join customers as ones
    on shared.account = ones.account
inner join customers as others
    on shared.other_account = others.account
where
    ones.name <> ''
    and regexp_replace(strip_accents(lower(ones.name)), '\s', '', 'g')
    = regexp_replace(strip_accents(lower(others.name)), '\s', '', 'g')

union all

select
    account,
    other_account,
    matched_on
from untouched

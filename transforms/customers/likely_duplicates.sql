-- Customers of equal name and equal email or phone, who may be one; lower account first.
-- grain: account, other_account, matched_on
-- why: only who shares a contact with a customer of tonight can be in a pair that is new or gone, so nobody else is
-- read; names are compared without case, accents and spaces. More than 50 of one name and contact (a shop that gives its
-- own) are a crowd: each is listed with its lowest account alone, for all pairs of thousands are millions.
with

touched as (
    select id
    from customers._concerned
),

-- What their contacts are and were, for a crowd that one of them leaves is paired otherwise, too.
theirs as (
    select
        account,
        kind,
        normalized,
        $seq as seq
    from customers._contact_history
    where
        account in (select id from touched)
        and valid_to = date '9999-12-31'
        and is_valid
),

once_theirs as (
    select
        account,
        kind,
        normalized,
        seq
    from customers._earlier_contacts
    where
        valid_to = date '9999-12-31'
        and is_valid
),

sought as (
    select normalized
    from theirs

    union all

    select normalized
    from once_theirs
),

-- Everybody else's contacts are read here, millions for a few: a valid one is an email or a number by its looks, so that
-- one column finds it.
others as (
    select
        account,
        kind,
        normalized,
        seq
    from customers.contact_versions
    where
        valid_to = date '9999-12-31'
        and is_valid
        and normalized in (select normalized from sought)
        and account not in (select id from touched)
),

sharing as (
    select
        account,
        kind,
        normalized,
        seq
    from others

    union all

    select
        account,
        kind,
        normalized,
        seq
    from theirs

    union all

    select
        account,
        kind,
        normalized,
        seq
    from once_theirs
    where normalized in (select normalized from others)
),

counted as (
    select
        kind,
        normalized,
        count(*) as times
    from sharing
    group by
        kind,
        normalized
    having min(account) < max(account)
),

in_crowds as (
    select
        sharing.account,
        sharing.kind,
        sharing.normalized
    from sharing
    inner join counted
        on sharing.kind = counted.kind
        and sharing.normalized = counted.normalized
    where counted.times > 50
),

once_named as (
    select distinct
        account,
        translate(
            strip_accents(lower(concat(organization_name, first_name, middle_name, last_name))),
            concat(' ', chr(9), chr(10), chr(12), chr(13)),
            ''
        ) as name
    from customers.customer_versions
    where account in (select account from in_crowds)
),

crowds as (
    select
        in_crowds.kind,
        in_crowds.normalized,
        once_named.name
    from in_crowds
    inner join once_named
        on in_crowds.account = once_named.account
    group by
        in_crowds.kind,
        in_crowds.normalized,
        once_named.name
    having
        count(distinct in_crowds.account) > 50
        and bool_or(in_crowds.account in (select id from touched))
),

-- Whom tonight concerns through a crowd alone: few, or none.
jostled as (
    select distinct in_crowds.account
    from in_crowds
    inner join once_named
        on in_crowds.account = once_named.account
    inner join crowds
        on in_crowds.kind = crowds.kind
        and in_crowds.normalized = crowds.normalized
        and once_named.name = crowds.name
    where in_crowds.account not in (select id from touched)
),

involved as (
    select id as account
    from touched

    union all

    select account
    from jostled
),

further as (
    select
        kind,
        normalized
    from customers.contact_versions
    where
        account in (select account from jostled)
        and valid_to = date '9999-12-31'
        and is_valid
        and normalized not in (select normalized from sought)
    group by
        kind,
        normalized
),

shared as (
    select
        sharing.account,
        sharing.kind,
        sharing.normalized,
        sharing.seq
    from sharing
    inner join counted
        on sharing.kind = counted.kind
        and sharing.normalized = counted.normalized

    union all

    select
        versions.account,
        versions.kind,
        versions.normalized,
        versions.seq
    from customers.contact_versions as versions
    inner join further
        on versions.kind = further.kind
        and versions.normalized = further.normalized
    where
        versions.valid_to = date '9999-12-31'
        and versions.is_valid
),

versions as (
    select
        account,
        valid_to,
        status,
        concat(organization_name, first_name, middle_name, last_name) as name,
        seq
    from customers.customer_versions
    where account in (select account from shared)
),

newest as (
    select
        account,
        max(seq) as seq
    from versions
    group by account
),

customers as (
    select
        versions.account,
        versions.seq,
        translate(strip_accents(lower(versions.name)), concat(' ', chr(9), chr(10), chr(12), chr(13)), '') as name
    from versions
    inner join newest
        on versions.account = newest.account
        and versions.seq = newest.seq
    where
        versions.valid_to = date '9999-12-31'
        and versions.status = 'synced'
        and versions.name <> ''
),

alike as (
    select
        shared.kind,
        shared.normalized,
        customers.name,
        shared.account,
        row_number() over same_name_and_contact as place,
        count(*) over (partition by shared.kind, shared.normalized, customers.name) as accounts
    from shared
    inner join customers
        on shared.account = customers.account
        and shared.seq = customers.seq
    window same_name_and_contact as (
        partition by shared.kind, shared.normalized, customers.name
        order by shared.account
    )
),

pairs as (
    select distinct
        ones.account,
        others.account as other_account,
        ones.kind as matched_on
    from alike as ones
    inner join alike as others
        on ones.kind = others.kind
        and ones.normalized = others.normalized
        and ones.name = others.name
        and ones.account < others.account
    where
        ones.accounts <= 50
        or ones.place = 1
),

untouched as (
    select
        account,
        other_account,
        matched_on
    from customers.likely_duplicates
    where
        account not in (select account from involved)
        and other_account not in (select account from involved)
)

select
    account,
    other_account,
    matched_on
from pairs
where
    account in (select account from involved)
    or other_account in (select account from involved)

union all

select
    account,
    other_account,
    matched_on
from untouched

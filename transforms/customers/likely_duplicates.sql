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

theirs as (
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

-- What they hold and what they held, for a crowd that one of them leaves is paired otherwise, too.
held as (
    select
        account,
        kind,
        normalized
    from theirs

    union

    select
        account,
        kind,
        normalized
    from customers._earlier_contacts
    where
        valid_to = date '9999-12-31'
        and is_valid
),

looked_for as (
    select distinct
        kind,
        normalized
    from held
),

-- Everyone else's, those that no longer count, too: as many as share a contact with tonight's customers.
others as (
    select
        versions.account,
        versions.kind,
        versions.normalized,
        versions.seq
    from customers.contact_versions as versions
    inner join looked_for
        on versions.kind = looked_for.kind
        and versions.normalized = looked_for.normalized
    where
        versions.valid_to = date '9999-12-31'
        and versions.is_valid
        and versions.account not in (select id from touched)
),

sharing as (
    select
        account,
        kind,
        normalized
    from held

    union all

    select
        account,
        kind,
        normalized
    from others
),

many as (
    select
        kind,
        normalized
    from sharing
    group by
        kind,
        normalized
    having count(*) > 50
),

in_crowds as (
    select
        sharing.account,
        sharing.kind,
        sharing.normalized
    from sharing
    inner join many
        on sharing.kind = many.kind
        and sharing.normalized = many.normalized
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

    except

    select
        kind,
        normalized
    from looked_for
),

shared_by_others as (
    select
        account,
        kind,
        normalized,
        seq
    from others

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

versions_of_others as (
    select
        account,
        valid_to,
        status,
        concat(organization_name, first_name, middle_name, last_name) as name,
        seq
    from customers.customer_versions
    where account in (select account from shared_by_others)
),

newest as (
    select
        account,
        max(seq) as seq
    from versions_of_others
    group by account
),

now_shared as (
    select
        shared_by_others.account,
        shared_by_others.kind,
        shared_by_others.normalized,
        versions.name
    from shared_by_others
    inner join newest
        on shared_by_others.account = newest.account
        and shared_by_others.seq = newest.seq
    inner join versions_of_others as versions
        on newest.account = versions.account
        and newest.seq = versions.seq
    where
        versions.valid_to = date '9999-12-31'
        and versions.status = 'synced'

    union all

    select
        theirs.account,
        theirs.kind,
        theirs.normalized,
        concat(
            customers.organization_name, customers.first_name, customers.middle_name, customers.last_name
        ) as name
    from theirs
    inner join customers._customer_history as customers
        on theirs.account = customers.account
    where
        customers.valid_to = date '9999-12-31'
        and customers.status = 'synced'
),

several as (
    select
        kind,
        normalized
    from now_shared
    group by
        kind,
        normalized
    having count(*) > 1
),

named as (
    select
        now_shared.account,
        now_shared.kind,
        now_shared.normalized,
        translate(
            strip_accents(lower(now_shared.name)), concat(' ', chr(9), chr(10), chr(12), chr(13)), ''
        ) as name
    from now_shared
    inner join several
        on now_shared.kind = several.kind
        and now_shared.normalized = several.normalized
    where now_shared.name <> ''
),

alike as (
    select
        kind,
        normalized,
        name,
        min(account) as lowest_account,
        count(*) as accounts
    from named
    group by
        kind,
        normalized,
        name
    having count(*) > 1
),

members as (
    select
        named.account,
        named.kind,
        named.normalized,
        named.name,
        alike.accounts <= 50 or named.account = alike.lowest_account as is_paired_with_all
    from named
    inner join alike
        on named.kind = alike.kind
        and named.normalized = alike.normalized
        and named.name = alike.name
),

pairs as (
    select distinct
        ones.account,
        others.account as other_account,
        ones.kind as matched_on
    from members as ones
    inner join members as others
        on ones.kind = others.kind
        and ones.normalized = others.normalized
        and ones.name = others.name
        and ones.account < others.account
    where ones.is_paired_with_all
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

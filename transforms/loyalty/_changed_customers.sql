-- Customers of whom tonight's operations change what loyalty goes by: their account, state, block or affiliations.
-- grain: customer_id
-- why: most operations change an address or a name, and points do not care.
with

-- What counts of each by now, and what did before: what has ended since it was worked out whole, and what stands.
newest as (
    select
        account,
        true as is_now,
        max(seq) as seq,
        max(whole_seq) as whole_seq
    from customers.customer_versions
    where account in (select account from customers.customer_versions where seq > $since)
    group by account

    union all

    select
        account,
        false as is_now,
        max(seq) as seq,
        max(whole_seq) as whole_seq
    from customers.customer_versions
    where
        account in (select account from customers.customer_versions where seq > $since)
        and seq <= $since
    group by account
),

versions as (
    select
        newest.account,
        newest.is_now,
        list(
            row(
                versions.valid_from,
                versions.valid_to,
                versions.status,
                versions.block_loyalty_enrollment
            )
            order by versions.valid_from
        ) as content
    from newest
    inner join customers.customer_versions as versions
        on newest.account = versions.account
        and newest.whole_seq <= versions.seq
        and (newest.seq = versions.seq or (newest.seq > versions.seq and versions.valid_to < date '9999-12-31'))
    group by
        newest.account,
        newest.is_now
),

affiliations as (
    select
        newest.account,
        newest.is_now,
        list(
            row(
                versions.affiliation_id,
                versions.known_from,
                versions.known_to,
                versions.valid_from,
                versions.valid_to
            )
            order by versions.affiliation_id, versions.known_from
        ) as content
    from newest
    inner join customers.affiliation_versions as versions
        on newest.account = versions.account
        and newest.whole_seq <= versions.seq
        and (newest.seq = versions.seq or (newest.seq > versions.seq and versions.known_to < date '9999-12-31'))
    group by
        newest.account,
        newest.is_now
),

compared as (
    select
        versions.account,
        max(case when versions.is_now then row(versions.content, affiliations.content) end) as content,
        max(case when not versions.is_now then row(versions.content, affiliations.content) end) as content_before
    from versions
    left join affiliations
        on versions.account = affiliations.account
        and versions.is_now = affiliations.is_now
    group by versions.account
)

select account as customer_id
from compared
where content is distinct from content_before

union

select account as customer_id
from customers.account_map
where seq > $since

-- Customers of whom tonight's operations change what loyalty goes by: their account, state, block or affiliations.
-- grain: customer_id
-- why: most operations change an address or a name, and points do not care.
with

versions as (
    select
        account,
        seq,
        string_agg(
            concat_ws('|', valid_from, valid_to, status, coalesce(cast(block_loyalty_enrollment as varchar), '')),
            ';'
            order by valid_from
        ) as content
    from customers.customer_versions
    where account in (select account from customers.customer_versions where seq > $since)
    group by
        account,
        seq
),

affiliations as (
    select
        account,
        seq,
        string_agg(
            concat_ws(
                '|',
                affiliation_id,
                known_from,
                coalesce(cast(known_to as varchar), ''),
                coalesce(cast(valid_from as varchar), ''),
                coalesce(cast(valid_to as varchar), '')
            ),
            ';'
            order by affiliation_id, known_from
        ) as content
    from customers.affiliation_versions
    group by
        account,
        seq
),

contents as (
    select
        versions.account,
        versions.seq,
        versions.content || ' ' || coalesce(affiliations.content, '') as content
    from versions
    left join affiliations
        on versions.account = affiliations.account
        and versions.seq = affiliations.seq
),

compared as (
    select
        account,
        max_by(content, seq) as content,
        max_by(content, seq) filter (where seq <= $since) as content_before
    from contents
    group by account
)

select account as customer_id
from compared
where content is distinct from content_before

union

select account as customer_id
from customers.account_map
where seq > $since

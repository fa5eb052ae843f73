-- Every version of the affiliations of the customers worked out tonight, their own and the inherited ones.
-- grain: account, affiliation_id, known_from
with

own as (
    select
        account,
        affiliation_id,
        known_from,
        known_to,
        valid_from,
        valid_to
    from customers._own_affiliations
),

first_own as (
    select
        account,
        affiliation_id,
        min(known_from) as known_from
    from own
    group by
        account,
        affiliation_id
),

inherited as (
    select
        creations.account,
        of_default.affiliation_id,
        creations.on_date as valid_from,
        of_default.valid_to,
        coalesce(first_own.known_from, date '9999-12-31') as known_to
    from customers._creations as creations
    inner join own as of_default
        on creations.default_account = of_default.account
        and creations.on_date >= of_default.known_from
        and creations.on_date < of_default.known_to
        and creations.on_date >= of_default.valid_from
        and (of_default.valid_to is null or creations.on_date <= of_default.valid_to)
    left join first_own
        on creations.account = first_own.account
        and of_default.affiliation_id = first_own.affiliation_id

    union all

    -- Who is only added to inherited when it was made.
    select
        versions.account,
        versions.affiliation_id,
        versions.valid_from,
        versions.valid_to,
        coalesce(first_own.known_from, date '9999-12-31') as known_to
    from customers.affiliation_versions as versions
    inner join customers._continued as continued
        on versions.account = continued.account
        and versions.seq = continued.seq
    left join first_own
        on versions.account = first_own.account
        and versions.affiliation_id = first_own.affiliation_id
    where
        versions.known_to = date '9999-12-31'
        and versions.inherited
)

select
    account,
    affiliation_id,
    known_from,
    known_to,
    valid_from,
    valid_to,
    false as inherited
from own

union all

select
    account,
    affiliation_id,
    date '0001-01-01' as known_from,
    known_to,
    valid_from,
    valid_to,
    true as inherited
from inherited
where known_to > date '0001-01-01'

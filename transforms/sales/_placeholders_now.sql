-- Ids that stand for no customer and when, as words, the programme and the channels say tonight.
-- grain: customer_id, any_case, valid_from
-- why: a till that knows no customer sends its channel's default, a placeholder of the programme or a word for nothing
-- (spec 7-seeds-whole section 12). A default counts in its letters, the others in any case. Days that follow are one span,
-- so that a record or a version that says the same again changes nothing.
with

words as (
    select unnest(['null', 'none', 'nil', 'n/a', 'nan', '-', '0']) as customer_id
),

named as (
    select
        customer_id,
        true as any_case,
        date '0001-01-01' as valid_from,
        date '9999-12-31' as valid_to
    from words

    union

    select
        trim(placeholders.customer_id) as customer_id,
        true as any_case,
        coalesce(versions.in_force_from, date '0001-01-01') as valid_from,
        coalesce(versions.in_force_to, date '9999-12-31') as valid_to
    from programme.placeholder_customers as placeholders
    inner join programme.versions as versions
        on placeholders.version = versions.version

    union

    select
        trim(default_customer_id) as customer_id,
        false as any_case,
        valid_from,
        valid_to
    from reference.channels
    where trim(default_customer_id) <> ''
),

accounts as (
    select
        async_id,
        account
    from customers.account_map
),

-- Whoever is named by a GUID is the account that was given for it, and the other way round.
other_names as (
    select
        accounts.account as customer_id,
        false as any_case,
        named.valid_from,
        named.valid_to
    from named
    inner join accounts
        on named.customer_id = accounts.async_id

    union

    select
        accounts.async_id as customer_id,
        false as any_case,
        named.valid_from,
        named.valid_to
    from named
    inner join accounts
        on named.customer_id = accounts.account
),

folded as (
    select
        case when ltrim(customer_id, '0') = '' then '0' else lower(customer_id) end as customer_id,
        any_case,
        valid_from,
        valid_to
    from named
    where any_case

    union

    select *
    from named
    where not any_case

    union

    select *
    from other_names
),

reached as (
    select
        *,
        max(valid_to) over (
            partition by customer_id, any_case
            order by valid_from, valid_to
            rows between unbounded preceding and 1 preceding
        ) as reached_before
    from folded
),

numbered as (
    select
        *,
        count(*) filter (reached_before is null or valid_from > reached_before + 1) over (
            partition by customer_id, any_case
            order by valid_from, valid_to
            rows between unbounded preceding and current row
        ) as span
    from reached
)

select
    customer_id,
    any_case,
    min(valid_from) as valid_from,
    max(valid_to) as valid_to
from numbered
group by
    customer_id,
    any_case,
    span

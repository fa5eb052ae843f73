-- Customers whom tonight only adds to, each with what the master holds of it: new operations of later days than all before.
-- grain: account
-- why: what a customer has become need not be worked out again from all operations there ever were. Those of whom an
-- operation comes late or anew, or takes something away, are worked out whole: what stood before it would count again.
with

mapped as (
    select
        async_id,
        account
    from customers.account_map
),

whole as (
    select id
    from customers._named_ids
    where is_whole

    union

    select mapped.account as id
    from customers._named_ids as named
    inner join mapped
        on named.id = mapped.async_id
    where named.is_whole

    union

    select default_account as id
    from customers._defaults
    where default_account is not null
),

arrived as (
    select
        operation_id,
        channel_id,
        customer_id,
        async_id,
        mode,
        operated_at,
        clears
    from landed.customers
    where drop_id in (select drop_id from sales._touched_drops)
),

repeated as (
    select operation_id
    from arrived
    group by operation_id
    having count(*) > 1
),

taking_away as (
    select operation_id
    from landed.customer_contacts
    where
        drop_id in (select drop_id from sales._touched_drops)
        and (removed or not is_primary)

    union

    select operation_id
    from landed.customer_addresses
    where
        drop_id in (select drop_id from sales._touched_drops)
        and not is_primary
),

said as (
    select
        coalesce(arrived.customer_id, mapped.account) as account,
        least(
            cast(timezone('UTC', arrived.operated_at) as date),
            cast(timezone(coalesce(channels.time_zone, 'UTC'), arrived.operated_at) as date)
        ) as on_date,
        (arrived.customer_id is not null or arrived.mode = 'async')
        and (arrived.async_id is null or mapped.account = coalesce(arrived.customer_id, mapped.account))
        and not contains(coalesce(arrived.clears, ''), 'email')
        and not contains(coalesce(arrived.clears, ''), 'phone')
        and arrived.operation_id not in (select operation_id from repeated)
        and arrived.operation_id not in (select operation_id from taking_away) as only_adds
    from arrived
    left join mapped
        on arrived.async_id = mapped.async_id
    left join customers._defaults as channels
        on arrived.channel_id = channels.channel_id
        and cast(timezone('UTC', arrived.operated_at) as date) between channels.valid_from and channels.valid_to
),

adding as (
    select
        account,
        min(on_date) as on_date
    from said
    where account not in (select id from whole)
    group by account
    having bool_and(coalesce(only_adds, false))
),

versions as (
    select *
    from customers.customer_versions
    where
        valid_to = date '9999-12-31'
        and account in (select account from adding)
),

newest as (
    select
        account,
        max(seq) as seq
    from versions
    group by account
)

select versions.*
from versions
inner join newest
    on versions.account = newest.account
    and versions.seq = newest.seq
inner join adding
    on versions.account = adding.account
    and adding.on_date > versions.settled_on
where versions.status = 'synced'

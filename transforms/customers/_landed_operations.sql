-- Operations to be worked out, each as its newest drop has it: tonight's, all of the customers worked out whole, and
-- those of default customers.
-- grain: operation_id
-- why: its date is the channel's local one; a channel whose time zone is none has UTC.
with

continued as (
    select account
    from customers._continued
),

ids as (
    select id
    from customers._touched_ids
    where
        id not in (select account from continued)
        and id not in (select async_id from customers.account_map where account in (select account from continued))

    union

    select default_account as id
    from customers._defaults
    where default_account is not null

    union

    select mapped.async_id as id
    from customers.account_map as mapped
    inner join customers._defaults as defaults
        on mapped.account = defaults.default_account
),

naming as (
    select operation_id
    from landed.customers
    where
        drop_date <= $business_date
        and customer_id in (select id from ids)

    union

    select operation_id
    from landed.customers
    where
        drop_date <= $business_date
        and async_id in (select id from ids)

    union

    select operation_id
    from customers._touched_operations
),

brought as (
    select *
    from landed.customers
    where
        drop_date <= $business_date
        and operation_id in (select operation_id from naming)
),

repeated as (
    select operation_id
    from brought
    group by operation_id
    having count(*) > 1
),

-- Few come more than once: only those are put in order.
newest as (
    select *
    from brought
    where operation_id not in (select operation_id from repeated)

    union all

    select *
    from brought
    where operation_id in (select operation_id from repeated)
    qualify row_number() over (partition by operation_id order by drop_date desc, drop_id desc) = 1
)

select
    newest.*,
    channels.country as channel_country,
    channels.default_account,
    channels.channel_id is not null as channel_known,
    case
        when channels.time_zone is null then cast(timezone('UTC', newest.operated_at) as date)
        else cast(timezone(channels.time_zone, newest.operated_at) as date)
    end as on_date
from newest
left join customers._defaults as channels
    on newest.channel_id = channels.channel_id
    and cast(timezone('UTC', newest.operated_at) as date) between channels.valid_from and channels.valid_to

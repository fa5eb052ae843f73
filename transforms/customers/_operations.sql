-- Operations of the customers to be worked out, in their order, with the account each belongs to and whether it counts.
-- grain: operation_id
-- why: counts_from is the operation's date; a customer's first day reaches back to the beginning (spec 3-customers).
with

owned as (
    select
        judged.operation_id,
        judged.operation,
        judged.operated_at,
        judged.on_date,
        coalesce(
            judged.customer_id,
            case when judged.mode = 'async' then coalesce(mapped.account, judged.async_id) end,
            'operation ' || judged.operation_id
        ) as owner,
        coalesce(
            judged.own_reason,
            case when judged.customer_id <> mapped.account then 'guid_taken' end
        ) as found_reason
    from customers._judged as judged
    left join customers.account_map as mapped
        on judged.async_id = mapped.async_id
),

numbered as (
    select
        owner,
        operation_id,
        operation,
        on_date,
        found_reason,
        row_number() over (partition by owner order by operated_at, operation_id) as operation_no
    from owned
),

-- Who is only added to was made before.
makers as (
    select
        owner,
        min(operation_no) as operation_no
    from numbered
    where
        operation = 'create'
        and found_reason is null
        and owner not in (select account from customers._continued)
    group by owner

    union all

    select
        account as owner,
        0 as operation_no
    from customers._continued
),

weighed as (
    select
        numbered.owner,
        numbered.operation_id,
        numbered.on_date,
        numbered.operation_no,
        makers.operation_no as maker_no,
        case
            -- A later create is an update, which need not say who it is.
            when numbered.found_reason in ('no_type', 'no_name') and makers.operation_no < numbered.operation_no then null
            else numbered.found_reason
        end as reason
    from numbered
    left join makers
        on numbered.owner = makers.owner
),

first_days as (
    select
        owner,
        min(on_date) as on_date
    from weighed
    where
        reason is null
        and maker_no > 0
    group by owner
)

select
    landed.operation_id,
    landed.drop_id,
    landed.file,
    landed.line,
    landed.operation,
    landed.mode,
    landed.operated_at,
    landed.on_date,
    landed.channel_id,
    landed.channel_country,
    landed.default_account,
    landed.customer_id,
    landed.async_id,
    weighed.owner,
    weighed.operation_no,
    weighed.maker_no,
    weighed.reason,
    case
        when weighed.reason is not null then 'failed'
        when weighed.maker_no is null then 'pending'
        else 'synced'
    end as status,
    case
        when weighed.on_date = first_days.on_date then date '0001-01-01'
        else weighed.on_date
    end as counts_from
from customers._landed_operations as landed
inner join weighed
    on landed.operation_id = weighed.operation_id
left join first_days
    on weighed.owner = first_days.owner

-- Every version of the addresses of the customers worked out tonight.
-- grain: account, address_id, known_from
-- why: an address without a name or phone of its own follows the customer's, so it has a version where that changes.
with

events as (
    select
        operations.owner as account,
        operations.operation_no,
        operations.counts_from,
        operations.channel_country,
        addresses.address_id,
        addresses.name,
        addresses.phone,
        addresses.purpose,
        addresses.street,
        addresses.city,
        addresses.zip,
        addresses.state,
        addresses.country,
        addresses.is_primary,
        addresses.valid_from,
        addresses.valid_to
    from customers._operations as operations
    inner join landed.customer_addresses as addresses
        on operations.operation_id = addresses.operation_id
        and operations.drop_id = addresses.drop_id
    where
        operations.status = 'synced'
        and addresses.street is not null
),

addresses as (
    select
        account,
        address_id,
        min(counts_from) as first_day,
        min(operation_no) as first_no
    from events
    group by
        account,
        address_id
),

customers as (
    select
        account,
        valid_from,
        valid_to,
        case
            when customer_type = 'organization' then organization_name
            else nullif(concat_ws(' ', first_name, middle_name, last_name), '')
        end as name,
        phone,
        case customer_type when 'person' then 'home' when 'organization' then 'business' end as purpose
    from customers._customer_history
),

days as (
    select
        account,
        counts_from as day
    from events

    union

    select
        account,
        valid_from as day
    from customers
),

folded as (
    select
        addresses.account,
        addresses.address_id,
        addresses.first_no,
        days.day,
        max_by(events.name, events.operation_no) filter (where events.name is not null) as name,
        max_by(events.phone, events.operation_no) filter (where events.phone is not null) as phone,
        max_by(events.purpose, events.operation_no) filter (where events.purpose is not null) as purpose,
        max_by(events.street, events.operation_no) filter (where events.street is not null) as street,
        max_by(events.city, events.operation_no) filter (where events.city is not null) as city,
        max_by(events.zip, events.operation_no) filter (where events.zip is not null) as zip,
        max_by(events.state, events.operation_no) filter (where events.state is not null) as state,
        coalesce(
            max_by(events.country, events.operation_no) filter (where events.country is not null),
            max_by(events.channel_country, events.operation_no) filter (where events.channel_country is not null)
        ) as country,
        max_by(events.is_primary, events.operation_no) filter (where events.is_primary is not null) as is_marked,
        max(events.operation_no) filter (where events.is_primary is not null) as marked_no,
        max_by(events.valid_from, events.operation_no) filter (where events.valid_from is not null) as valid_from,
        max_by(events.valid_to, events.operation_no) filter (where events.valid_to is not null) as valid_to
    from addresses
    inner join days
        on addresses.account = days.account
        and addresses.first_day <= days.day
    inner join events
        on addresses.account = events.account
        and addresses.address_id = events.address_id
        and events.counts_from <= days.day
    group by
        addresses.account,
        addresses.address_id,
        addresses.first_no,
        days.day
),

completed as (
    select
        folded.account,
        folded.address_id,
        folded.day,
        coalesce(folded.name, customers.name) as name,
        coalesce(folded.phone, customers.phone) as phone,
        coalesce(folded.purpose, customers.purpose) as purpose,
        folded.street,
        folded.city,
        folded.zip,
        folded.state,
        folded.country,
        row_number() over (
            partition by folded.account, folded.day
            order by
                case when folded.is_marked then folded.marked_no end desc nulls last,
                case when not coalesce(folded.is_marked, false) then folded.first_no end nulls last,
                folded.address_id
        ) = 1 as is_primary,
        folded.valid_from,
        folded.valid_to
    from folded
    inner join customers
        on folded.account = customers.account
        and folded.day >= customers.valid_from
        and folded.day < customers.valid_to
),

compared as (
    select
        *,
        row(
            name, phone, purpose, street, city, zip, state, country, is_primary, valid_from, valid_to
        ) is distinct from lag(
            row(name, phone, purpose, street, city, zip, state, country, is_primary, valid_from, valid_to)
        ) over (partition by account, address_id order by day) as is_new
    from completed
),

versions as (
    select *
    from compared
    where is_new
)

select
    account,
    address_id,
    day as known_from,
    coalesce(lead(day) over (partition by account, address_id order by day), date '9999-12-31') as known_to,
    name,
    phone,
    purpose,
    street,
    city,
    zip,
    state,
    country,
    is_primary,
    valid_from,
    valid_to
from versions

-- Every version of the addresses of the customers worked out tonight.
-- grain: account, address_id, known_from
-- why: an address without a name or phone of its own follows the customer's, so it has a version where that changes;
-- which of its columns do, the last version tells whom tonight only adds to.
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

    union all

    -- What a customer who is only added to has; the primary one stays so until another is marked.
    select
        held.account,
        0 as operation_no,
        date '0001-01-01' as counts_from,
        case when contains(held.follows, 'country') then held.country end as channel_country,
        held.address_id,
        case when not contains(held.follows, 'name') then held.name end as name,
        case when not contains(held.follows, 'phone') then held.phone end as phone,
        case when not contains(held.follows, 'purpose') then held.purpose end as purpose,
        held.street,
        held.city,
        held.zip,
        held.state,
        case when not contains(held.follows, 'country') then held.country end as country,
        case when held.is_primary then true end as is_primary,
        held.valid_from,
        held.valid_to
    from customers._held_addresses as held
),

addresses as (
    select
        account,
        address_id,
        min(operation_no) as first_no,
        count(*) as times
    from events
    group by
        account,
        address_id
),

-- Most addresses are said once; only the others are folded, by each day that says something of them.
said_days as (
    select distinct
        events.account,
        events.address_id,
        addresses.first_no,
        events.counts_from as day
    from events
    inner join addresses
        on events.account = addresses.account
        and events.address_id = addresses.address_id
    where addresses.times > 1
),

folded as (
    select
        said_days.account,
        said_days.address_id,
        said_days.first_no,
        said_days.day,
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
        max(events.country) is not null as has_country,
        max_by(events.is_primary, events.operation_no) filter (where events.is_primary is not null) as is_marked,
        max(events.operation_no) filter (where events.is_primary is not null) as marked_no,
        max_by(events.valid_from, events.operation_no) filter (where events.valid_from is not null) as valid_from,
        max_by(events.valid_to, events.operation_no) filter (where events.valid_to is not null) as valid_to
    from said_days
    inner join events
        on said_days.account = events.account
        and said_days.address_id = events.address_id
        and events.counts_from <= said_days.day
    group by
        said_days.account,
        said_days.address_id,
        said_days.first_no,
        said_days.day
),

said as (
    select
        *,
        coalesce(lead(day) over (partition by account, address_id order by day), date '9999-12-31') as next_day
    from folded

    union all by name

    select
        events.account,
        events.address_id,
        events.operation_no as first_no,
        events.counts_from as day,
        events.name,
        events.phone,
        events.purpose,
        events.street,
        events.city,
        events.zip,
        events.state,
        coalesce(events.country, events.channel_country) as country,
        events.country is not null as has_country,
        events.is_primary as is_marked,
        events.operation_no as marked_no,
        events.valid_from,
        events.valid_to,
        date '9999-12-31' as next_day
    from events
    inner join addresses
        on events.account = addresses.account
        and events.address_id = addresses.address_id
    where addresses.times = 1
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
    where account in (select account from addresses)
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

primaries as (
    select
        said.account,
        said.address_id,
        days.day
    from said
    inner join days
        on said.account = days.account
        and said.day <= days.day
        and said.next_day > days.day
    qualify row_number() over (
        partition by said.account, days.day
        order by
            case when said.is_marked then said.marked_no end desc nulls last,
            case when not coalesce(said.is_marked, false) then said.first_no end nulls last,
            said.address_id
    ) = 1
),

completed as (
    select
        said.account,
        said.address_id,
        days.day,
        coalesce(said.name, customers.name) as name,
        coalesce(said.phone, customers.phone) as phone,
        coalesce(said.purpose, customers.purpose) as purpose,
        said.street,
        said.city,
        said.zip,
        said.state,
        said.country,
        primaries.address_id is not distinct from said.address_id as is_primary,
        said.valid_from,
        said.valid_to
    from days
    inner join customers
        on days.account = customers.account
        and days.day >= customers.valid_from
        and days.day < customers.valid_to
    inner join said
        on days.account = said.account
        and days.day >= said.day
        and days.day < said.next_day
    left join primaries
        on days.account = primaries.account
        and days.day = primaries.day
),

compared as (
    select
        *,
        row(
            name, phone, purpose, street, city, zip, state, country, is_primary, valid_from, valid_to
        ) is distinct from lag(
            row(name, phone, purpose, street, city, zip, state, country, is_primary, valid_from, valid_to)
        ) over (partition by account, address_id order by day) as is_new,
        lag(day) over (partition by account, address_id order by day) is null as is_first
    from completed
),

versions as (
    select
        *,
        coalesce(lead(day) over (partition by account, address_id order by day), date '9999-12-31') as next_day
    from compared
    where is_new
),

-- Tonight may say of an address what it had from its customer: no version begins with it.
following as (
    select
        account,
        address_id,
        concat_ws(
            '|',
            case when name is null then 'name' end,
            case when phone is null then 'phone' end,
            case when purpose is null then 'purpose' end,
            case when not has_country then 'country' end
        ) as follows
    from said
    where next_day = date '9999-12-31'
)

select
    versions.account,
    versions.address_id,
    case when versions.is_first then coalesce(held.known_from, versions.day) else versions.day end as known_from,
    versions.next_day as known_to,
    versions.name,
    versions.phone,
    versions.purpose,
    versions.street,
    versions.city,
    versions.zip,
    versions.state,
    versions.country,
    versions.is_primary,
    versions.valid_from,
    versions.valid_to,
    following.follows
from versions
inner join following
    on versions.account = following.account
    and versions.address_id = following.address_id
left join customers._held_addresses as held
    on versions.account = held.account
    and versions.address_id = held.address_id

-- What operations say of contacts, each with the country its number is read in; before them, as number 0, what a
-- customer who is only added to has: held_from is the day since when.
-- grain: event_no
-- why: the columns email and phone are primary contacts, too; a column that is cleared takes the contact it held away.
with

operations as (
    select *
    from customers._operations
    where status = 'synced'
),

columns as (
    select
        account,
        operation_no,
        column_name,
        value
    from customers._own_changes
    where
        column_name in ('email', 'phone')
        and operation_no > 0
),

before_clearing as (
    select
        account,
        operation_no,
        column_name,
        value,
        lag(value) over (partition by account, column_name order by operation_no) as value_before
    from columns
    where account in (select account from columns where value is null)
),

said as (
    select
        account,
        operation_no,
        0 as place,
        column_name as kind,
        value,
        true as is_primary,
        cast(null as boolean) as consent,
        false as removed
    from columns
    where value is not null

    union all

    select
        account,
        operation_no,
        0 as place,
        column_name as kind,
        value_before as value,
        false as is_primary,
        cast(null as boolean) as consent,
        true as removed
    from before_clearing
    where
        value is null
        and value_before is not null

    union all

    select
        operations.owner as account,
        operations.operation_no,
        1 as place,
        contacts.kind,
        contacts.value,
        contacts.is_primary,
        contacts.marketing_consent as consent,
        coalesce(contacts.removed, false) as removed
    from operations
    inner join landed.customer_contacts as contacts
        on operations.operation_id = contacts.operation_id
        and operations.drop_id = contacts.drop_id
    where contacts.value is not null
),

homes as (
    select
        account,
        country
    from customers._address_history
    where
        is_primary
        and known_to = date '9999-12-31'
),

events as (
    select
        said.account,
        said.operation_no,
        said.place,
        operations.counts_from,
        operations.operated_at,
        operations.channel_id,
        said.kind,
        said.value,
        case
            when said.kind = 'email' or starts_with(trim(said.value), '+') then ''
            else coalesce(operations.channel_country, homes.country, '')
        end as country,
        said.is_primary,
        said.consent,
        said.removed
    from said
    inner join operations
        on said.account = operations.owner
        and said.operation_no = operations.operation_no
    left join homes
        on said.account = homes.account

    union all by name

    -- The primary one stays so until another is marked, whether it was marked itself or is the first.
    select
        contacts.account,
        0 as operation_no,
        contacts.contact_no as place,
        date '0001-01-01' as counts_from,
        contacts.consent_at as operated_at,
        contacts.consent_channel_id as channel_id,
        contacts.kind,
        contacts.value,
        case when contacts.is_primary then true end as is_primary,
        case when contacts.consent_at is not null then contacts.consent end as consent,
        false as removed,
        contacts.normalized,
        contacts.is_valid,
        contacts.valid_from as held_from
    from customers._earlier_contacts as contacts
    inner join customers._continued as continued
        on contacts.account = continued.account
        and contacts.seq = continued.seq
    where contacts.valid_to = date '9999-12-31'
)

select
    account,
    operation_no,
    row_number() over (order by account, operation_no, place, kind, value) as event_no,
    counts_from,
    operated_at,
    channel_id,
    kind,
    value,
    country,
    is_primary,
    consent,
    removed,
    normalized,
    is_valid,
    held_from
from events

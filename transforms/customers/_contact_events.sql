-- What operations say of contacts, each with the country its number is read in.
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
    where column_name in ('email', 'phone')
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
)

select
    said.account,
    said.operation_no,
    row_number() over (
        order by said.account, said.operation_no, said.place, said.kind, said.value
    ) as event_no,
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

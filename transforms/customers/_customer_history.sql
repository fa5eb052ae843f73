-- Every version of the customers worked out tonight.
-- grain: account, valid_from
-- why: a version begins on each day on which a column changes; a GUID without account is a customer who waits; of one
-- whom nothing creates any more a row says so.
with

owners as (
    select
        owner,
        max(async_id) filter (where status <> 'failed') as async_id,
        max(greatest(on_date, cast(timezone('UTC', operated_at) as date))) as last_date,
        bool_or(mode = 'async' and customer_id is null and coalesce(reason, '') <> 'erased') as is_named_by_guid,
        bool_or(status = 'pending') as is_waiting
    from customers._operations
    group by owner

    union all

    select
        account as owner,
        cast(null as varchar) as async_id,
        cast(null as date) as last_date,
        false as is_named_by_guid,
        false as is_waiting
    from customers._gone
),

-- With what stands of those who are only added to.
known as (
    select
        owners.owner,
        greatest(owners.async_id, held.async_id) as async_id,
        held.valid_from as held_from,
        held.financial_dimensions,
        coalesce(held.whole_seq, $seq) as whole_seq,
        case when unsettled.owner is null then greatest(owners.last_date, held.settled_on) end as settled_on
    from owners
    left join customers._continued as held
        on owners.owner = held.account
    left join customers._unsettled as unsettled
        on owners.owner = unsettled.owner
),

-- Most columns are the same on all days, which no version begins with.
changing as (
    select
        account,
        from_day,
        value,
        lag(value) over (partition by account, column_name order by from_day) as value_before
    from customers._states
    where
        from_day > date '0001-01-01'
        or to_day < date '9999-12-31'
),

days as (
    select distinct
        account,
        from_day
    from changing
    where value is distinct from value_before

    union

    select
        account,
        date '0001-01-01' as from_day
    from customers._creations
),

spans as (
    select
        account,
        from_day,
        coalesce(lead(from_day) over (partition by account order by from_day), date '9999-12-31') as to_day
    from days
),

folded as (
    select
        spans.account,
        spans.from_day,
        spans.to_day,
        max(case when states.column_name = 'customer_type' then states.value end) as customer_type,
        max(case when states.column_name = 'first_name' then states.value end) as first_name,
        max(case when states.column_name = 'middle_name' then states.value end) as middle_name,
        max(case when states.column_name = 'last_name' then states.value end) as last_name,
        max(case when states.column_name = 'organization_name' then states.value end) as organization_name,
        max(case when states.column_name = 'title' then states.value end) as title,
        max(case when states.column_name = 'email' then states.value end) as email,
        max(case when states.column_name = 'phone' then states.value end) as phone,
        max(case when states.column_name = 'receipt_option' then states.value end) as receipt_option,
        max(case when states.column_name = 'receipt_email' then states.value end) as receipt_email,
        max(case when states.column_name = 'currency' then states.value end) as currency,
        max(case when states.column_name = 'language' then states.value end) as language,
        max(case when states.column_name = 'customer_group' then states.value end) as customer_group,
        max(case when states.column_name = 'warehouse' then states.value end) as warehouse,
        cast(max(case when states.column_name = 'block_loyalty_enrollment' then states.value end) as boolean) as block_loyalty_enrollment,
        cast(max(case when states.column_name = 'on_hold' then states.value end) as boolean) as on_hold,
        cast(max(case when states.column_name = 'allow_on_account' then states.value end) as boolean) as allow_on_account,
        cast(max(case when states.column_name = 'installments' then states.value end) as boolean) as installments,
        cast(max(case when states.column_name = 'notice_exempt' then states.value end) as boolean) as notice_exempt
    from spans
    left join customers._states as states
        on spans.account = states.account
        and spans.from_day >= states.from_day
        and spans.from_day < states.to_day
    group by
        spans.account,
        spans.from_day,
        spans.to_day
),

landed_groups as (
    select
        id,
        financial_dimensions,
        drop_date,
        row_number() over (partition by id order by drop_date, drop_id) as version_no,
        lead(drop_date) over (partition by id order by drop_date, drop_id) as next_date
    from landed.customer_groups
    where drop_date <= $business_date
),

groups as (
    select
        id,
        financial_dimensions,
        case when version_no = 1 then date '0001-01-01' else drop_date end as valid_from,
        coalesce(next_date, date '9999-12-31') as valid_to
    from landed_groups
),

groups_at_creation as (
    select
        creations.account,
        coalesce(of_default.value, own.customer_group) as customer_group,
        creations.on_date
    from customers._creations as creations
    inner join folded as own
        on creations.account = own.account
        and creations.on_date >= own.from_day
        and creations.on_date < own.to_day
    left join customers._own_states as of_default
        on creations.default_account = of_default.account
        and of_default.column_name = 'customer_group'
        and creations.on_date >= of_default.from_day
        and creations.on_date < of_default.to_day
),

dimensions as (
    select
        groups_at_creation.account,
        groups.financial_dimensions
    from groups_at_creation
    inner join groups
        on groups_at_creation.customer_group = groups.id
        and groups_at_creation.on_date >= groups.valid_from
        and groups_at_creation.on_date < groups.valid_to
)

select
    folded.account,
    greatest(folded.from_day, known.held_from) as valid_from,
    folded.to_day as valid_to,
    known.async_id,
    case when erasures.id is null then 'synced' else 'erased' end as status,
    creations.operated_at as created_at,
    creations.channel_id as created_channel_id,
    coalesce(dimensions.financial_dimensions, known.financial_dimensions) as financial_dimensions,
    folded.customer_type,
    folded.first_name,
    folded.middle_name,
    folded.last_name,
    folded.organization_name,
    folded.title,
    folded.email,
    folded.phone,
    folded.receipt_option,
    folded.receipt_email,
    folded.currency,
    folded.language,
    folded.customer_group,
    folded.warehouse,
    folded.block_loyalty_enrollment,
    folded.on_hold,
    folded.allow_on_account,
    folded.installments,
    folded.notice_exempt,
    known.whole_seq,
    known.settled_on
from folded
inner join customers._creations as creations
    on folded.account = creations.account
inner join known
    on folded.account = known.owner
left join dimensions
    on folded.account = dimensions.account
left join customers._erasures as erasures
    on folded.account = erasures.id

union all by name

select
    owners.owner as account,
    date '0001-01-01' as valid_from,
    date '9999-12-31' as valid_to,
    case when owners.is_named_by_guid then owners.owner end as async_id,
    case when owners.is_named_by_guid and owners.is_waiting then 'pending' else 'withdrawn' end as status,
    cast(null as timestamptz) as created_at,
    cast(null as varchar) as created_channel_id,
    cast(null as varchar) as financial_dimensions,
    cast(null as varchar) as customer_type,
    cast(null as varchar) as first_name,
    cast(null as varchar) as middle_name,
    cast(null as varchar) as last_name,
    cast(null as varchar) as organization_name,
    cast(null as varchar) as title,
    cast(null as varchar) as email,
    cast(null as varchar) as phone,
    cast(null as varchar) as receipt_option,
    cast(null as varchar) as receipt_email,
    cast(null as varchar) as currency,
    cast(null as varchar) as language,
    cast(null as varchar) as customer_group,
    cast(null as varchar) as warehouse,
    cast(null as boolean) as block_loyalty_enrollment,
    cast(null as boolean) as on_hold,
    cast(null as boolean) as allow_on_account,
    cast(null as boolean) as installments,
    cast(null as boolean) as notice_exempt,
    $seq as whole_seq,
    cast(null as date) as settled_on
from owners
left join customers._creations as creations
    on owners.owner = creations.account
where creations.account is null

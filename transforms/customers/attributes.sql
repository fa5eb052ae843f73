-- Attributes of customers, as of any day; where one has none, the default of the definition of that day.
-- grain: account, attribute, valid_from
-- why: defaults are put in here, so that a new definition does not make every customer be worked out again.
with

versions as (
    select *
    from customers.attribute_versions
),

customers as (
    select *
    from customers._newest
),

landed_definitions as (
    select
        attribute,
        "default" as default_value,
        drop_date,
        drop_id
    from landed.customer_attribute_definitions
    where drop_date <= $business_date
),

definitions as (
    select
        attribute,
        default_value,
        case
            when row_number() over (partition by attribute order by drop_date, drop_id) = 1 then date '0001-01-01'
            else drop_date
        end as valid_from,
        coalesce(
            lead(drop_date) over (partition by attribute order by drop_date, drop_id), date '9999-12-31'
        ) as valid_to
    from landed_definitions
),

defaults as (
    select *
    from definitions
    where
        default_value is not null
        and valid_from < valid_to
),

given as (
    select
        versions.account,
        versions.attribute,
        versions.valid_from,
        versions.valid_to,
        versions.value
    from versions
    inner join customers
        on versions.account = customers.account
        and versions.seq >= customers.whole_seq
        and (versions.seq = customers.seq or versions.valid_to < date '9999-12-31')
),

first_given as (
    select
        account,
        attribute,
        min(valid_from) as valid_from
    from given
    group by
        account,
        attribute
),

without_value as (
    select
        account,
        attribute,
        valid_from,
        valid_to
    from given
    where value is null

    union all

    select
        customers.account,
        attributes.attribute,
        date '0001-01-01' as valid_from,
        coalesce(first_given.valid_from, date '9999-12-31') as valid_to
    from customers
    cross join (select distinct attribute from defaults) as attributes
    left join first_given
        on customers.account = first_given.account
        and attributes.attribute = first_given.attribute
    where customers.status = 'synced'
),

filled_in as (
    select
        without_value.account,
        without_value.attribute,
        greatest(without_value.valid_from, defaults.valid_from) as valid_from,
        least(without_value.valid_to, defaults.valid_to) as valid_to,
        defaults.default_value as value
    from without_value
    inner join defaults
        on without_value.attribute = defaults.attribute
        and without_value.valid_from < defaults.valid_to
        and defaults.valid_from < without_value.valid_to
    where without_value.valid_from < without_value.valid_to
)

select
    account,
    attribute,
    valid_from,
    valid_to,
    value,
    false as is_default
from given
where value is not null

union all

select
    account,
    attribute,
    valid_from,
    valid_to,
    value,
    true as is_default
from filled_in

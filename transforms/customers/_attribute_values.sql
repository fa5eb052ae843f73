-- Attribute values that operations set, each with the definition of its day.
-- grain: operation_id, attribute
with

landed_definitions as (
    select
        *,
        row_number() over (partition by attribute order by drop_date, drop_id) as version_no,
        lead(drop_date) over (partition by attribute order by drop_date, drop_id) as next_date
    from landed.customer_attribute_definitions
    where drop_date <= $business_date
),

definitions as (
    select
        attribute,
        type,
        allowed_values,
        minimum,
        maximum,
        case when version_no = 1 then date '0001-01-01' else drop_date end as valid_from,
        coalesce(next_date, date '9999-12-31') as valid_to
    from landed_definitions
)

select
    operations.owner as account,
    operations.operation_id,
    operations.operation_no,
    operations.counts_from,
    operations.status,
    attributes.attribute,
    attributes.value,
    attributes.drop_id,
    attributes.file,
    attributes.line,
    definitions.type,
    definitions.allowed_values,
    definitions.minimum,
    definitions.maximum
from customers._operations as operations
inner join landed.customer_attributes as attributes
    on operations.operation_id = attributes.operation_id
    and operations.drop_id = attributes.drop_id
left join definitions
    on attributes.attribute = definitions.attribute
    and operations.on_date >= definitions.valid_from
    and operations.on_date < definitions.valid_to
where operations.status <> 'failed'

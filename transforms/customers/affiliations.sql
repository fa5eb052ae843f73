-- Which customers belong to which affiliation, and when.
-- grain: account, affiliation_id, valid_from
with

affiliations as (
    select
        operation_id,
        drop_id,
        affiliation_id,
        valid_from,
        valid_to
    from landed.customer_affiliations
    where drop_date <= $business_date
),

operations as (
    select
        operation_id,
        drop_id,
        customer_id,
        operated_at
    from landed.customers
    where drop_date <= $business_date
)

select
    operations.customer_id as account,
    affiliations.affiliation_id,
    coalesce(affiliations.valid_from, cast(operations.operated_at as date)) as valid_from,
    affiliations.valid_to
from affiliations
inner join operations
    on affiliations.operation_id = operations.operation_id
    and affiliations.drop_id = operations.drop_id
where operations.customer_id is not null
qualify row_number() over (
    partition by operations.customer_id, affiliations.affiliation_id
    order by operations.operated_at desc, operations.operation_id desc
) = 1

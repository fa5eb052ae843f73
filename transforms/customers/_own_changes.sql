-- What each operation fills or clears, one row for each column of the master.
-- grain: account, operation_no, column_name
-- why: the last writer wins column by column, so a column's history is its own. What a customer who is only added to
-- holds already stands before tonight's operations, as number 0.
with

operations as (
    select
        numbered.owner,
        numbered.operation_no,
        numbered.counts_from,
        said.*
    from customers._operations as numbered
    inner join customers._landed_operations as said
        on numbered.operation_id = said.operation_id
    where numbered.status = 'synced'

    union all by name

    select
        *,
        account as owner,
        0 as operation_no,
        date '0001-01-01' as counts_from
    from customers._continued
),

columns (column_name) as (
    values
        ('customer_type'),
        ('first_name'),
        ('middle_name'),
        ('last_name'),
        ('organization_name'),
        ('title'),
        ('email'),
        ('phone'),
        ('receipt_option'),
        ('receipt_email'),
        ('currency'),
        ('language'),
        ('customer_group'),
        ('warehouse'),
        ('block_loyalty_enrollment'),
        ('on_hold'),
        ('allow_on_account'),
        ('installments'),
        ('notice_exempt')
),

cells as (
    select
        operations.owner as account,
        operations.operation_no,
        operations.operation_id,
        operations.counts_from,
        columns.column_name,
        case columns.column_name
            when 'customer_type' then customer_type
            when 'first_name' then first_name
            when 'middle_name' then middle_name
            when 'last_name' then last_name
            when 'organization_name' then organization_name
            when 'title' then title
            when 'email' then email
            when 'phone' then phone
            when 'receipt_option' then receipt_option
            when 'receipt_email' then receipt_email
            when 'currency' then currency
            when 'language' then language
            when 'customer_group' then customer_group
            when 'warehouse' then warehouse
            when 'block_loyalty_enrollment' then cast(block_loyalty_enrollment as varchar)
            when 'on_hold' then cast(on_hold as varchar)
            when 'allow_on_account' then cast(allow_on_account as varchar)
            when 'installments' then cast(installments as varchar)
            when 'notice_exempt' then cast(notice_exempt as varchar)
        end as value,
        contains('|' || replace(operations.clears, ' ', '') || '|', '|' || columns.column_name || '|') as is_cleared
    from operations
    cross join columns
)

select
    account,
    operation_no,
    operation_id,
    counts_from,
    column_name,
    value
from cells
where
    value is not null
    or is_cleared

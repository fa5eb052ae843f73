-- Counted sale and return lines of what was ordered or bought, in the accounting currency, with the mailing that won them.
-- grain: transaction_id, line_no
-- why: goods brought back count against the code they were ordered with, wherever they are brought back.
with

lines as (
    select
        transaction_id,
        line_no,
        kind,
        product_id,
        net_amount,
        original_transaction_id
    from sales.lines
    where kind in ('sale', 'return')
),

transactions as (
    select
        transaction_id,
        currency
    from sales.transactions
),

rates as (
    select
        currency,
        into_accounting as rate
    from reference._rates
    where into_accounting is not null
),

orders as (
    select
        order_id,
        source_code,
        catalog_id
    from call_center._orders
),

order_lines as (
    select
        order_id,
        line_no,
        catalog_id
    from call_center._lines
),

source_codes as (
    select
        source_code,
        catalog_id
    from call_center._source_codes
)

select
    lines.transaction_id,
    lines.line_no,
    lines.kind,
    lines.product_id,
    case
        when abs(cast(lines.net_amount as decimal(38, 2)) * rates.rate) < 1e15
            then cast(round(cast(lines.net_amount as decimal(38, 2)) * rates.rate, 2) as decimal(18, 2))
    end as net_amount,
    coalesce(original.source_code, own.source_code) as source_code,
    coalesce(order_lines.catalog_id, own.catalog_id, source_codes.catalog_id) as catalog_id
from lines
inner join transactions
    on lines.transaction_id = transactions.transaction_id
inner join rates
    on transactions.currency = rates.currency
left join orders as own
    on lines.transaction_id = own.order_id
left join orders as original
    on lines.original_transaction_id = original.order_id
    and lines.kind = 'return'
left join order_lines
    on lines.transaction_id = order_lines.order_id
    and lines.line_no = order_lines.line_no
left join source_codes
    on own.source_code = source_codes.source_code
where
    own.order_id is not null
    or original.order_id is not null

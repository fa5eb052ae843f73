-- The lake: what counts in sales is just what sales.documents says counts, on its day, once, with lines that add up.
with

documents as (
    select
        document_id,
        counted,
        business_date
    from sales.documents
    qualify row_number() over (partition by kind, document_id order by seq desc) = 1
),

counted as (
    select
        document_id,
        business_date
    from documents
    where counted
),

transactions as (
    select
        transaction_id,
        business_date,
        count(*) as times,
        sum(net_amount) as net_amount
    from sales.transactions
    group by
        transaction_id,
        business_date
),

lines as (
    select
        transaction_id,
        sum(net_amount) as net_amount
    from sales.lines
    group by transaction_id
)

select
    coalesce(counted.document_id, transactions.transaction_id) as document_id,
    counted.business_date,
    transactions.times,
    transactions.net_amount,
    lines.net_amount as of_lines
from counted
full outer join transactions
    on counted.document_id = transactions.transaction_id
    and counted.business_date = transactions.business_date
left join lines
    on transactions.transaction_id = lines.transaction_id
where
    counted.document_id is null
    or transactions.transaction_id is null
    or transactions.times > 1
    or abs(transactions.net_amount - coalesce(lines.net_amount, 0)) > 0.01

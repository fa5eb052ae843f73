-- Every landed copy of the touched documents, ranked: rank 1 is the copy that holds.
-- grain: kind, document_id, drop_id
-- why: the earliest drop's copy of a transaction counts; the newest drop's version of an order replaces the others.
with

transactions as (
    select
        transaction_id as document_id,
        drop_id,
        drop_date,
        business_date,
        status = 'completed' and type in ('sale', 'return', 'exchange') as counted
    from landed.transactions
    where
        drop_date <= $business_date
        and transaction_id in (select document_id from sales._touched where kind = 'transaction')
),

orders as (
    select
        order_id as document_id,
        drop_id,
        drop_date,
        invoiced_date as business_date,
        status = 'invoiced' and invoiced_date is not null as counted
    from landed.orders
    where
        drop_date <= $business_date
        and order_id in (select document_id from sales._touched where kind = 'order')
)

select
    'transaction' as kind,
    document_id,
    drop_id,
    drop_date,
    case when counted then business_date end as business_date,
    counted,
    row_number() over (partition by document_id order by drop_date, drop_id) as copy_rank,
    count(*) over (partition by document_id) as copies
from transactions

union all

select
    'order' as kind,
    document_id,
    drop_id,
    drop_date,
    case when counted then business_date end as business_date,
    counted,
    row_number() over (partition by document_id order by drop_date desc, drop_id desc) as copy_rank,
    count(*) over (partition by document_id) as copies
from orders

-- Every landed copy of the touched documents, ranked: rank 1 is the copy that holds.
-- grain: kind, document_id, drop_id
-- why: the earliest drop's copy of a transaction counts; the newest drop's version of an order replaces the others.
-- What a later drop or another document voids does not count, nor does a document that voids. A copy that the programme
-- refuses does not take the id: a later good one counts.
with

transactions as (
    select
        landed.transaction_id as document_id,
        landed.drop_id,
        landed.drop_date,
        times.business_date,
        landed.status = 'completed'
            and landed.type in ('sale', 'return', 'exchange')
            and landed.voids_transaction_id is null
            and voids.document_id is null as counted,
        voids.drop_id as voided_by,
        voids.drop_date as voided_on
    from landed.transactions as landed
    inner join sales._local_times as times
        on landed.transaction_id = times.document_id
        and landed.drop_id = times.drop_id
        and times.kind = 'transaction'
    left join sales._voids as voids
        on landed.transaction_id = voids.document_id
    left join sales._refused as refused
        on landed.transaction_id = refused.document_id
        and landed.drop_id = refused.drop_id
    where
        refused.document_id is null
        and landed.drop_date <= $business_date
        and landed.transaction_id in (select document_id from sales._touched where kind = 'transaction')
),

orders as (
    select
        order_id as document_id,
        drop_id,
        drop_date,
        invoiced_date as business_date,
        status = 'invoiced' and invoiced_date is not null as counted,
        cast(null as varchar) as voided_by,
        cast(null as date) as voided_on
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
    voided_by,
    voided_on,
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
    voided_by,
    voided_on,
    row_number() over (partition by document_id order by drop_date desc, drop_id desc) as copy_rank,
    count(*) over (partition by document_id) as copies
from orders

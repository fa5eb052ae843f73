-- Documents that tonight's drops bring, describe anew, or brought in an earlier version.
-- grain: kind, document_id
with

touched_drops as (
    select drop_id
    from sales._touched_drops
),

brought as (
    select
        'transaction' as kind,
        transaction_id as document_id
    from landed.transactions
    where drop_id in (select drop_id from touched_drops)

    union

    select
        'order' as kind,
        order_id as document_id
    from landed.orders
    where drop_id in (select drop_id from touched_drops)

    union

    -- What a document voids counts no more.
    select
        'transaction' as kind,
        voids_transaction_id as document_id
    from landed.transactions
    where
        voids_transaction_id in (select transaction_id from landed.transactions)
        and drop_id in (select drop_id from touched_drops)
),

used_to_bring as (
    select
        kind,
        document_id
    from sales._documents_now
    where
        drop_id in (select drop_id from touched_drops)
        or voided_by in (select drop_id from touched_drops)
)

select
    kind,
    document_id
from brought

union

select
    kind,
    document_id
from used_to_bring

union

select
    documents.kind,
    documents.document_id
from sales._documents_now as documents
inner join sales._redescribed as redescribed
    on documents.document_id = redescribed.document_id

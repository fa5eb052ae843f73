-- Receipts of the store, register and number of a touched one.
-- grain: document_id
-- why: which of them is the double of which can turn when one more comes, is voided or is withdrawn.
with

touched as (
    select distinct
        landed.store_id,
        landed.register_id,
        landed.transaction_no
    from landed.transactions as landed
    inner join sales._touched as documents
        on landed.transaction_id = documents.document_id
        and documents.kind = 'transaction'

    union

    -- What a drop no longer holds is known by those it was told beside.
    select
        landed.store_id,
        landed.register_id,
        landed.transaction_no
    from landed.transactions as landed
    inner join ops.quarantine as quarantine
        on landed.transaction_id = quarantine.record_key
        and quarantine.rule = 'double'
        and quarantine.status = 'open'
)

select distinct landed.transaction_id as document_id
from landed.transactions as landed
inner join touched
    on landed.store_id = touched.store_id
    and landed.register_id = touched.register_id
    and landed.transaction_no = touched.transaction_no

-- Documents voided after they were completed, each with the first drop that says so.
-- grain: document_id
-- why: a till voids a finished receipt by sending its id again as voided, or by a document that names it (spec
-- 7-seeds-whole section 9). Only the receipt's own store can; the void may come first, and voided is for ever: what
-- becomes of the voiding document changes nothing.
with

voids as (
    select
        transaction_id as document_id,
        store_id,
        drop_date,
        drop_id
    from landed.transactions
    where
        status = 'voided'
        and drop_date <= $business_date

    union all

    select
        voids_transaction_id as document_id,
        store_id,
        drop_date,
        drop_id
    from landed.transactions
    where
        voids_transaction_id is not null
        and status = 'completed'
        and drop_date <= $business_date
),

-- The copy that counts unless it is voided.
first_copies as (
    select
        transaction_id as document_id,
        store_id,
        status
    from landed.transactions
    where
        drop_date <= $business_date
        and transaction_id in (select document_id from sales._touched)
    qualify row_number() over (partition by transaction_id order by drop_date, drop_id) = 1
)

select
    voids.document_id,
    voids.drop_date,
    voids.drop_id
from voids
inner join first_copies
    on voids.document_id = first_copies.document_id
    and voids.store_id = first_copies.store_id
    and first_copies.status = 'completed'
qualify row_number() over (partition by voids.document_id order by voids.drop_date, voids.drop_id) = 1

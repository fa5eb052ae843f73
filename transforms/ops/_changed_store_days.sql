-- Days of stores of which tonight's drops, points or corrections say something else than before.
-- grain: business_date
-- why: only these are worked out again, with the next day of their registers, whose numbers go on from theirs.
with

changed_documents as (
    select distinct document_id
    from sales.documents
    where
        seq > $since
        and kind = 'transaction'
),

-- What waited in quarantine when a day was last worked out, and what does now.
waiting as (
    select
        store_id,
        business_date,
        count(*) as quarantined
    from ops._quarantined_receipts
    where waiting
    group by
        store_id,
        business_date
),

known_now as (
    select distinct customers.customer_id
    from landed.customers as customers
    inner join sales._touched_drops as drops
        on customers.drop_id = drops.drop_id
    where
        customers.operation = 'create'
        and customers.customer_id is not null
),

changed as (
    select receipts.business_date
    from ops._seen_receipts as receipts
    inner join sales._touched_drops as drops
        on receipts.drop_id = drops.drop_id

    union

    select landed.business_date
    from ops.drops as landed
    inner join sales._touched_drops as drops
        on landed.drop_id = drops.drop_id
    where landed.feed = 'pos'

    union

    -- Voided, counted after all, or gone: on the day it counted on before, too.
    select documents.business_date
    from sales.documents as documents
    inner join changed_documents
        on documents.document_id = changed_documents.document_id
    where
        documents.kind = 'transaction'
        and documents.business_date is not null

    union

    select entry_date as business_date
    from loyalty.entries
    where
        seq > $since
        and transaction_id is not null
        and coalesce(corrected_type, entry_type) in ('earn', 'return_earned', 'redeem', 'refund')

    union

    select receipts.business_date
    from customers.receipts as receipts
    inner join known_now
        on receipts.customer_id = known_now.customer_id

    union

    select coalesce(waiting.business_date, days.business_date) as business_date
    from waiting
    full join ops.store_days as days
        on waiting.store_id = days.store_id
        and waiting.business_date = days.business_date
    where coalesce(waiting.quarantined, 0) <> coalesce(days.quarantined, 0)
),

-- Days on which nothing came are days, too: since last night, and since a store's first day where that is news.
stretches as (
    select
        greatest($since_date + 1, min(first_day)) as first_day,
        $business_date as last_day
    from ops._store_openings
    having count(*) > 0

    union all

    select
        openings.first_day,
        coalesce(min(days.business_date), $business_date) as last_day
    from ops._store_openings as openings
    left join ops.store_days as days
        on openings.store_id = days.store_id
    where openings.first_day = openings.first_day_tonight
    group by
        openings.store_id,
        openings.first_day
),

quiet as (
    select distinct cast(unnest(generate_series(first_day, last_day, interval 1 day)) as date) as business_date
    from stretches
    where first_day <= last_day
)

select business_date
from changed
where business_date <= $business_date

union

select business_date
from quiet
where business_date <= $business_date

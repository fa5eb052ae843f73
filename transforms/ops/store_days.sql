-- What each store's day amounts to, and whether all of it is there.
-- grain: store_id, business_date
-- why: a day of which receipts are missing, refused or odd is known the next morning, not when the books are closed (spec
-- 7-seeds-whole section 9). A day on which nothing came is absent where the store should have traded, else closed.
with

-- Stores from the first day they sent anything of on, stores that should have traded, whole drops that wait.
days as (
    select
        openings.store_id,
        due.business_date
    from ops._store_openings as openings
    inner join ops._store_days_due as due
        on openings.first_day <= due.business_date

    union

    select
        store_id,
        business_date
    from ops._trading_days

    union

    select
        store_id,
        business_date
    from ops._quarantined_receipts
    where
        waiting
        and business_date in (select business_date from ops._store_days_due)
),

seen as (
    select
        store_id,
        business_date,
        count(distinct register_id) as registers
    from ops._seen_receipts
    where business_date in (select business_date from ops._store_days_due)
    group by
        store_id,
        business_date
),

counted as (
    select
        receipts.store_id,
        receipts.business_date,
        count(*) as receipts,
        min(receipts.occurred_at) as first_at,
        max(receipts.occurred_at) as last_at,
        sum(receipts.total_amount) as total_amount,
        sum(coalesce(tendered.amount, 0)) as tenders_amount,
        count(*) filter (where receipts.drop_date > receipts.business_date) as late,
        count(*) filter (where receipts.offline) as offline
    from ops._receipt_headers as receipts
    left join ops._tendered as tendered
        on receipts.transaction_id = tendered.transaction_id
        and receipts.drop_id = tendered.drop_id
    group by
        receipts.store_id,
        receipts.business_date
),

gaps as (
    select
        store_id,
        business_date,
        sum(last_no - first_no + 1) as missing,
        string_agg(
            register_id || ':' || first_no || case when last_no > first_no then '-' || last_no else '' end,
            '|'
            order by register_id, first_no
        ) as missing_numbers
    from ops._missing_numbers
    group by
        store_id,
        business_date
),

stated as (
    select
        store_id,
        business_date,
        sum(stated) as points
    from ops._stated_points
    where kind = 'awarded'
    group by
        store_id,
        business_date
),

earned as (
    select
        receipts.store_id,
        receipts.business_date,
        sum(points.points) as points
    from ops._receipt_points as points
    inner join ops._receipt_headers as receipts
        on points.transaction_id = receipts.transaction_id
    where points.kind = 'awarded'
    group by
        receipts.store_id,
        receipts.business_date
),

-- The newest word on documents that a void was ever known of.
voids as (
    select
        document_id,
        drop_id,
        voided_by
    from sales.documents
    where
        kind = 'transaction'
        and document_id in (select document_id from sales.documents where voided_by is not null)
    qualify row_number() over (partition by document_id order by seq desc) = 1
),

voided as (
    select
        receipts.store_id,
        receipts.business_date,
        count(*) as post_voided
    from voids
    inner join ops._seen_receipts as receipts
        on voids.document_id = receipts.transaction_id
        and voids.drop_id = receipts.drop_id
    where
        voids.voided_by is not null
        and receipts.business_date in (select business_date from ops._store_days_due)
    group by
        receipts.store_id,
        receipts.business_date
),

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

told as (
    select
        store_id,
        business_date,
        count(*) as reports
    from ops.receipt_checks
    where effect = 'reported'
    group by
        store_id,
        business_date
)

select
    days.store_id,
    days.business_date,
    coalesce(seen.registers, 0) as registers,
    coalesce(counted.receipts, 0) as receipts,
    counted.first_at,
    counted.last_at,
    coalesce(gaps.missing, 0) as missing,
    gaps.missing_numbers,
    coalesce(counted.total_amount, 0) as total_amount,
    coalesce(counted.tenders_amount, 0) as tenders_amount,
    coalesce(counted.total_amount - counted.tenders_amount, 0) as difference,
    coalesce(stated.points, 0) as points_declared,
    coalesce(earned.points, 0) as points_earned,
    coalesce(counted.late, 0) as late,
    coalesce(counted.offline, 0) as offline,
    coalesce(voided.post_voided, 0) as post_voided,
    coalesce(waiting.quarantined, 0) as quarantined,
    coalesce(told.reports, 0) as reports,
    case
        when gaps.missing > 0 or waiting.quarantined > 0 then 'incomplete'
        when seen.store_id is null and trading.store_id is not null then 'absent'
        when seen.store_id is null then 'closed'
        when told.reports > 0 then 'differs'
        else 'complete'
    end as verdict
from days
left join seen
    on days.store_id = seen.store_id
    and days.business_date = seen.business_date
left join counted
    on days.store_id = counted.store_id
    and days.business_date = counted.business_date
left join gaps
    on days.store_id = gaps.store_id
    and days.business_date = gaps.business_date
left join stated
    on days.store_id = stated.store_id
    and days.business_date = stated.business_date
left join earned
    on days.store_id = earned.store_id
    and days.business_date = earned.business_date
left join voided
    on days.store_id = voided.store_id
    and days.business_date = voided.business_date
left join waiting
    on days.store_id = waiting.store_id
    and days.business_date = waiting.business_date
left join told
    on days.store_id = told.store_id
    and days.business_date = told.business_date
left join ops._trading_days as trading
    on days.store_id = trading.store_id
    and days.business_date = trading.business_date

-- For each touched document the copy that holds now, or none, beside what held before.
-- grain: kind, document_id
-- why: posted_date is the drop's own night, unless readers have seen that night already: then it is tonight. A copy
-- that held before and whose drop did not come again has not changed, and keeps its own. What is voided, or voided no
-- more, changes with the void's drop.
with

touched as (
    select
        kind,
        document_id
    from sales._touched
),

holding as (
    select
        kind,
        document_id,
        drop_id,
        drop_date,
        business_date,
        counted,
        voided_by,
        voided_on
    from sales._copies
    where copy_rank = 1
),

before as (
    select
        kind,
        document_id,
        counted,
        business_date,
        drop_id,
        posted_date,
        voided_by
    from sales._documents_now
),

touched_drops as (
    select drop_id
    from sales._touched_drops
)

select
    touched.kind,
    touched.document_id,
    holding.drop_id,
    coalesce(holding.counted, false) as counted,
    holding.business_date,
    coalesce(before.counted, false) as counted_before,
    before.business_date as business_date_before,
    holding.voided_by,
    before.drop_id is not distinct from holding.drop_id
        and before.document_id is not null
        and before.voided_by is not distinct from holding.voided_by
        and touched_drops.drop_id is null
        and redescribed.document_id is null as unchanged,
    case
        when before.drop_id = holding.drop_id
            and touched_drops.drop_id is null
            and before.voided_by is not distinct from holding.voided_by then before.posted_date
        when greatest(holding.drop_date, holding.voided_on) > $published_date
            then greatest(holding.drop_date, holding.voided_on)
        else $business_date
    end as posted_date
from touched
left join holding
    on touched.kind = holding.kind
    and touched.document_id = holding.document_id
left join before
    on touched.kind = before.kind
    and touched.document_id = before.document_id
left join touched_drops
    on holding.drop_id = touched_drops.drop_id
left join sales._redescribed as redescribed
    on touched.document_id = redescribed.document_id

-- 3. A debit takes no more from lots than it is; an expiry takes exactly its own; what a credit opened, and a refund put
-- back, is no more than it. A replaced card's entries are net of its deficit, so they are held against deficits in 1.
with

entries as (
    select
        coalesce(corrected_entry_id, entry_id) as entry_id,
        max(coalesce(corrected_type, entry_type)) as entry_type,
        bool_or(starts_with(coalesce(event_id, ''), 'replace:')) as replaced,
        sum(points) as points
    from loyalty.entries
    group by coalesce(corrected_entry_id, entry_id)
),

pieces as (
    select
        debit_entry_id,
        sum(points) as taken
    from loyalty.allocations
    group by debit_entry_id
    having sum(points) <> 0
),

opened as (
    select
        entry_id,
        sum(points) as opened
    from loyalty.lots
    group by entry_id
)

select
    coalesce(entries.entry_id, pieces.debit_entry_id, opened.entry_id) as entry_id,
    entries.entry_type,
    entries.points,
    pieces.taken,
    opened.opened
from entries
full outer join pieces
    on entries.entry_id = pieces.debit_entry_id
full outer join opened
    on entries.entry_id = opened.entry_id
where
    entries.entry_id is null
    and (pieces.taken is not null or opened.opened is not null)
    or not entries.replaced
    and entries.points < 0
    and pieces.taken > -entries.points
    or entries.points >= 0
    and not entries.replaced
    and (pieces.taken > 0 or coalesce(opened.opened, 0) - coalesce(pieces.taken, 0) > entries.points)
    or entries.entry_type = 'expire'
    and coalesce(pieces.taken, 0) <> -entries.points
    or opened.opened > entries.points
    and not entries.replaced

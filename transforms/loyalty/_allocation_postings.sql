-- What loyalty.allocations gains tonight: pieces taken, and differences to pieces posted before.
-- grain: debit_entry_id, lot_id, allocated_on
with

now as (
    select
        debit_entry_id,
        lot_id,
        allocated_on,
        card_id,
        points,
        posted_date
    from loyalty._folded_pieces
),

published as (
    select
        allocations.debit_entry_id,
        allocations.lot_id,
        allocations.allocated_on,
        allocations.card_id,
        sum(allocations.points) as points
    from loyalty.allocations as allocations
    inner join loyalty._scope_cards as cards
        on allocations.card_id = cards.card_id
        and cards.again
    group by all
),

matched as (
    select
        coalesce(now.debit_entry_id, published.debit_entry_id) as debit_entry_id,
        coalesce(now.lot_id, published.lot_id) as lot_id,
        coalesce(now.allocated_on, published.allocated_on) as allocated_on,
        coalesce(now.card_id, published.card_id) as card_id,
        coalesce(now.points, 0) - coalesce(published.points, 0) as points,
        case when published.lot_id is null then now.posted_date else $business_date end as posted_date
    from now
    full outer join published
        on now.debit_entry_id = published.debit_entry_id
        and now.lot_id = published.lot_id
        and now.allocated_on = published.allocated_on
        and now.card_id = published.card_id
)

select
    debit_entry_id,
    lot_id,
    $seq as seq,
    allocated_on,
    points,
    card_id,
    posted_date
from matched
where points <> 0

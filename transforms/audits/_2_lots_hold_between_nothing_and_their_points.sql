-- 2. What is left of a lot is between nothing and what it was opened with, less every piece taken; no piece without a lot.
with

pieces as (
    select
        lot_id,
        sum(points) as taken
    from loyalty.allocations
    group by lot_id
    having sum(points) <> 0
)

select
    coalesce(lots.lot_id, pieces.lot_id) as lot_id,
    lots.points,
    lots.remaining,
    pieces.taken
from loyalty.lots as lots
full outer join pieces
    on lots.lot_id = pieces.lot_id
where
    lots.lot_id is null
    or lots.remaining < 0
    or lots.remaining > lots.points
    or lots.remaining <> lots.points - coalesce(pieces.taken, 0)

-- Customers scored on both dates of a pair who are in another segment now.
-- grain: run, mover
-- why: only these have a move to explain; one small number stands for the customer.
with

scores as (
    select
        run,
        side,
        customer_id,
        segment
    from rfm._pair_scores
)

select
    later.run,
    row_number() over (order by later.run, later.customer_id) as mover,
    later.customer_id,
    earlier.segment as from_segment,
    later.segment as to_segment
from scores as later
inner join scores as earlier
    on later.run = earlier.run
    and later.customer_id = earlier.customer_id
    and later.segment <> earlier.segment
where
    later.side = 'new'
    and earlier.side = 'old'

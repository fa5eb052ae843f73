-- 4. Every event's document is a counted transaction or a landed adjustment.
with

events as (
    select
        transaction_id,
        event_type,
        sum(points) as points
    from loyalty.events
    group by
        transaction_id,
        event_type
    having sum(points) <> 0
)

select
    events.transaction_id,
    events.event_type,
    events.points
from events
left join sales.transactions as transactions
    on events.transaction_id = transactions.transaction_id
left join landed.loyalty_adjustments as adjustments
    on events.transaction_id = adjustments.adjustment_id
where
    transactions.transaction_id is null
    and adjustments.adjustment_id is null

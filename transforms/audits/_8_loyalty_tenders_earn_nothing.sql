-- 8. No transaction with a loyalty tender earned anything while the programme said no_earn.
with

earned as (
    select
        events.transaction_id,
        events.programme_version,
        sum(events.points) as points
    from loyalty.events as events
    where events.event_type = 'earn'
    group by
        events.transaction_id,
        events.programme_version
    having sum(events.points) <> 0
)

select
    earned.transaction_id,
    earned.points,
    transactions.loyalty_tender_amount
from earned
inner join sales.transactions as transactions
    on earned.transaction_id = transactions.transaction_id
inner join programme.parameters as parameters
    on earned.programme_version = parameters.version
where
    transactions.loyalty_tender_amount > 0
    and parameters.loyalty_tender = 'no_earn'

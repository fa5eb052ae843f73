-- 4. Every event's document is a counted transaction, or a landed adjustment, transfer, activity or replaced card.
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
),

documents as (
    select transaction_id
    from sales.transactions

    union

    select adjustment_id as transaction_id
    from landed.loyalty_adjustments

    union

    select transfer_id as transaction_id
    from landed.loyalty_transfers

    union

    select activity_id as transaction_id
    from landed.other_activities

    union

    select replaces_card_id as transaction_id
    from landed.loyalty_cards
)

select
    events.transaction_id,
    events.event_type,
    events.points
from events
left join documents
    on events.transaction_id = documents.transaction_id
where documents.transaction_id is null

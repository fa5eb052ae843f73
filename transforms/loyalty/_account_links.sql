-- Pairs of customers or single cards whose points can touch each other.
-- grain: node, other_node, shared
-- why: shared: a card was theirs in turn, so a contact tender may draw on both; else a transfer, a replaced card, or a return
-- that refunds what several cards paid (spec 2-loyalty section 2).
with

nodes as (
    select
        card_id,
        node
    from loyalty._account_nodes
),

customers as (
    select distinct
        nodes.node,
        'customer ' || cards.customer_id as other_node
    from loyalty._cards as cards
    inner join nodes
        on cards.card_id = nodes.card_id
    where cards.customer_id is not null
),

payers as (
    select
        tenders.transaction_id as document_id,
        coalesce(tenders.loyalty_card_id, transactions.loyalty_card_id) as card_id,
        tenders.amount > 0 as pays
    from sales.tenders as tenders
    inner join sales.transactions as transactions
        on tenders.transaction_id = transactions.transaction_id
    where tenders.type = 'loyalty'
),

refunded as (
    select
        refunds.document_id,
        payers.card_id,
        min(payers.card_id) over (partition by refunds.document_id) as first_card_id
    from payers as refunds
    inner join loyalty._return_links as links
        on refunds.document_id = links.document_id
    inner join payers
        on links.original_document_id = payers.document_id
        and payers.pays
    where not refunds.pays
),

pairs as (
    select
        from_card_id as card_id,
        to_card_id as other_card_id
    from loyalty._transfers

    union

    select
        old_card_id as card_id,
        card_id as other_card_id
    from loyalty._replacement_claims

    union

    select
        card_id,
        first_card_id as other_card_id
    from refunded
)

select
    node,
    other_node,
    true as shared
from customers
where node <> other_node

union

select
    nodes.node,
    others.node as other_node,
    false as shared
from pairs
inner join nodes
    on pairs.card_id = nodes.card_id
inner join nodes as others
    on pairs.other_card_id = others.card_id
where nodes.node <> others.node

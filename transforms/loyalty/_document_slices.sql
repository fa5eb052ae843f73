-- The slice each document is worked out in: that of its card's account, or of what it is tied to.
-- grain: document_id; a document of neither is none of these, and of the first slice
with

documents as (
    select
        transactions.transaction_id as document_id,
        cards.slice
    from sales.transactions as transactions
    inner join loyalty._card_slices as cards
        on transactions.loyalty_card_id = cards.card_id
),

parts as (
    select distinct
        part,
        slice
    from loyalty._account_slices
),

tied as (
    select
        substr(joined.node, 10) as document_id,
        parts.slice
    from loyalty._joined_nodes as joined
    inner join parts
        on joined.part = parts.part
    where starts_with(joined.node, 'document ')
)

select
    document_id,
    slice
from documents

union

select
    document_id,
    slice
from tied

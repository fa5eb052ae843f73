-- What a document ties together: the accounts of its card and of the cards that pay it, and the sales it brings back.
-- grain: node, other_node
-- why: accounts that share a document are worked out in one slice (kanta/slices.py). Most documents tie nothing together
-- and stand in no row.
with

links as (
    select
        document_id,
        original_document_id
    from loyalty._return_links
),

payers as (
    select
        transaction_id as document_id,
        loyalty_card_id as card_id
    from sales.tenders
    where
        type = 'loyalty'
        and loyalty_card_id is not null
),

tied as (
    select document_id
    from payers

    union

    select document_id
    from links

    union

    select original_document_id as document_id
    from links
),

cards as (
    select
        transactions.transaction_id as document_id,
        transactions.loyalty_card_id as card_id
    from sales.transactions as transactions
    inner join tied
        on transactions.transaction_id = tied.document_id

    union

    select
        document_id,
        card_id
    from payers
)

select
    'document ' || cards.document_id as node,
    accounts.account_id as other_node
from cards
inner join loyalty._accounts as accounts
    on cards.card_id = accounts.card_id

union

select
    'document ' || document_id as node,
    'document ' || original_document_id as other_node
from links

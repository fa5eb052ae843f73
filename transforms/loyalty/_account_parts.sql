-- Accounts with the part that holds them together with all that their documents tie to them, and how many documents of
-- tonight the parts before it have.
-- grain: account_id
with

accounts as (
    select distinct
        accounts.account_id,
        coalesce(joined.part, accounts.account_id) as part
    from loyalty._accounts as accounts
    left join loyalty._joined_nodes as joined
        on accounts.account_id = joined.node
),

documents as (
    select
        cards.account_id,
        count(*) as documents
    from sales.transactions as transactions
    inner join loyalty._scope_cards as cards
        on transactions.loyalty_card_id = cards.card_id
    where
        cards.again
        or transactions.transaction_id in (select document_id from loyalty._changed_documents)
    group by cards.account_id
),

sizes as (
    select
        accounts.part,
        coalesce(sum(documents.documents), 0) as documents
    from accounts
    left join documents
        on accounts.account_id = documents.account_id
    group by accounts.part
),

parts as (
    select
        part,
        coalesce(
            sum(documents) over (order by part rows between unbounded preceding and 1 preceding),
            0
        ) as documents_before
    from sizes
)

select
    accounts.account_id,
    accounts.part,
    parts.documents_before
from accounts
inner join parts
    on accounts.part = parts.part

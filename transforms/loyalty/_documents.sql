-- Transactions and other activities whose effect on points is worked out tonight.
-- grain: document_id, activity_type; document_no numbers them for tonight, so that what follows joins on numbers
-- why: of an account that goes on from its open lots only tonight's documents, of one that is worked out again all of
-- them, and the returns that name one of either.
with

transactions as (
    select
        transaction_id as document_id,
        cast(null as varchar) as activity_type,
        channel_id,
        business_date,
        occurred_at,
        currency,
        loyalty_tender_amount,
        loyalty_card_id as card_id,
        customer_id,
        posted_date
    from customers.receipts
),

changed as (
    select document_id
    from loyalty._changed_documents
),

scope_cards as (
    select
        card_id,
        again
    from loyalty._scope_cards
),

tenders as (
    select
        transaction_id as document_id,
        loyalty_card_id as card_id
    from sales.tenders
    where
        type = 'loyalty'
        and loyalty_card_id is not null
),

of_accounts_again as (
    select transactions.transaction_id as document_id
    from sales.transactions as transactions
    inner join scope_cards
        on transactions.loyalty_card_id = scope_cards.card_id
    where scope_cards.again

    union

    select tenders.document_id
    from tenders
    inner join scope_cards
        on tenders.card_id = scope_cards.card_id
    where scope_cards.again
),

wanted as (
    select document_id
    from changed

    union

    select document_id
    from of_accounts_again

    union

    select links.document_id
    from loyalty._return_links as links
    inner join of_accounts_again
        on links.original_document_id = of_accounts_again.document_id

    union

    -- Also of nobody's card: what a return brings back has come, or is gone.
    select links.document_id
    from loyalty._return_links as links
    inner join changed
        on links.original_document_id = changed.document_id
),

activities as (
    select
        activities.activity_id as document_id,
        activities.activity_type,
        activities.channel_id,
        activities.business_date,
        activities.occurred_at,
        cast(null as varchar) as currency,
        cast(0 as decimal(18, 2)) as loyalty_tender_amount,
        activities.card_id,
        cast(null as varchar) as customer_id,
        activities.posted_date,
        activities.is_new
    from loyalty._activities as activities
    left join scope_cards
        on activities.card_id = scope_cards.card_id
    where
        activities.is_new
        or scope_cards.again
),

documents as (
    select
        transactions.document_id,
        transactions.activity_type,
        transactions.channel_id,
        transactions.business_date,
        transactions.occurred_at,
        transactions.currency,
        transactions.loyalty_tender_amount,
        transactions.card_id,
        transactions.customer_id,
        transactions.posted_date,
        changed.document_id is not null as changed
    from transactions
    inner join wanted
        on transactions.document_id = wanted.document_id
    left join changed
        on transactions.document_id = changed.document_id

    union all

    select
        document_id,
        activity_type,
        channel_id,
        business_date,
        occurred_at,
        currency,
        loyalty_tender_amount,
        card_id,
        customer_id,
        posted_date,
        is_new as changed
    from activities
)

select
    row_number() over (order by documents.document_id, documents.activity_type nulls first) as document_no,
    documents.document_id,
    documents.activity_type,
    documents.channel_id,
    documents.business_date,
    documents.occurred_at,
    documents.currency,
    documents.loyalty_tender_amount,
    documents.card_id,
    documents.customer_id,
    documents.posted_date,
    documents.changed,
    calendar.version
from documents
inner join programme.calendar as calendar
    on documents.business_date = calendar.business_date

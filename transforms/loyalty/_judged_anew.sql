-- Accounts of which a version seen tonight judges something that was worked out before.
-- grain: account_id
-- why: a version judges what is dated from its first day on; an account with nothing since then keeps its points, though it
-- may stand in other tiers. A return is judged on its own date, on the cards of what it brings back.
with

versions as (
    select min(effective_from) as effective_from
    from loyalty._new_versions
    where effective_from <= $since_date
),

transactions as (
    select
        transactions.transaction_id as document_id,
        transactions.loyalty_card_id as card_id,
        transactions.business_date >= versions.effective_from as is_judged
    from sales.transactions as transactions
    cross join versions
),

cards as (
    select
        document_id,
        card_id
    from transactions
    where card_id is not null

    union all

    select
        transaction_id as document_id,
        loyalty_card_id as card_id
    from sales.tenders
    where
        type = 'loyalty'
        and loyalty_card_id is not null
),

judged as (
    select document_id
    from transactions
    where is_judged

    union

    select links.original_document_id as document_id
    from loyalty._return_links as links
    inner join transactions
        on links.document_id = transactions.document_id
    where transactions.is_judged
),

records as (
    select
        card_id,
        business_date
    from loyalty._adjustments

    union all

    select
        from_card_id as card_id,
        business_date
    from loyalty._transfers

    union all

    select
        to_card_id as card_id,
        business_date
    from loyalty._transfers

    union all

    select
        card_id,
        business_date
    from loyalty._activities

    union all

    select
        card_id,
        business_date
    from loyalty.events
),

found as (
    select cards.card_id
    from cards
    inner join judged
        on cards.document_id = judged.document_id

    union

    select records.card_id
    from records
    inner join versions
        on records.business_date >= versions.effective_from
)

select distinct accounts.account_id
from found
inner join loyalty._accounts as accounts
    on found.card_id = accounts.card_id

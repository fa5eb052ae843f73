-- Each document's card, and the paying cards, in each program they are in that day.
-- grain: document_no, card_id, program_id
with

named as (
    select
        document_no,
        card_id
    from loyalty._documents
    where card_id is not null

    union

    select
        document_no,
        card_id
    from loyalty._tenders
    where card_id is not null
)

select
    named.document_no,
    named.card_id,
    cards.program_id,
    cards.card_type,
    cards.customer_id,
    coalesce(documents.customer_id, cards.customer_id) as earning_customer_id,
    documents.business_date >= cards.enrolled_from
    and (cards.enrolled_to is null or documents.business_date <= cards.enrolled_to) as enrolled
from named
inner join loyalty._documents as documents
    on named.document_no = documents.document_no
inner join reference.loyalty_cards as cards
    on named.card_id = cards.card_id
    and documents.business_date between cards.valid_from and cards.valid_to

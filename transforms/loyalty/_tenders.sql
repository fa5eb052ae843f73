-- Loyalty tenders of the documents that are worked out tonight, each with the card that pays.
-- grain: document_no, tender_no
select
    documents.document_no,
    tenders.tender_no,
    coalesce(tenders.loyalty_card_id, documents.card_id) as card_id,
    tenders.reward_point_id,
    tenders.amount,
    coalesce(tenders.currency, documents.currency) as currency,
    coalesce(tenders.points, 0) as points
from sales.tenders as tenders
inner join loyalty._documents as documents
    on tenders.transaction_id = documents.document_id
    and documents.activity_type is null
where tenders.type = 'loyalty'

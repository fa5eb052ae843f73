-- Loyalty tenders of the documents that are worked out tonight, each with the card that pays.
-- grain: document_no, tender_no
-- why: rate brings an amount in another currency into the document's, by the newest rate of its day or before; empty:
-- there is none (spec 7-seeds-whole section 10).
with

tenders as (
    select
        documents.document_no,
        tenders.tender_no,
        coalesce(tenders.loyalty_card_id, documents.card_id) as card_id,
        tenders.reward_point_id,
        tenders.amount,
        coalesce(tenders.currency, documents.currency) as currency,
        documents.currency as document_currency,
        documents.business_date,
        coalesce(tenders.points, 0) as points
    from sales.tenders as tenders
    inner join loyalty._documents as documents
        on tenders.transaction_id = documents.document_id
        and documents.activity_type is null
    where tenders.type = 'loyalty'
),

rates as (
    select
        tenders.document_no,
        tenders.tender_no,
        rates.rate
    from tenders
    inner join reference.exchange_rates as rates
        on tenders.currency = rates.from_currency
        and tenders.document_currency = rates.to_currency
        and rates.date <= tenders.business_date
        and tenders.business_date between rates.valid_from and rates.valid_to
    where tenders.currency <> tenders.document_currency
    qualify row_number() over (partition by tenders.document_no, tenders.tender_no order by rates.date desc) = 1
)

select
    tenders.document_no,
    tenders.tender_no,
    tenders.card_id,
    tenders.reward_point_id,
    tenders.amount,
    tenders.points,
    case when tenders.currency = tenders.document_currency then 1 else rates.rate end as rate
from tenders
left join rates
    on tenders.document_no = rates.document_no
    and tenders.tender_no = rates.tender_no

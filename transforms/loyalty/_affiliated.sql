-- The affiliations of each document's customer that day.
-- grain: document_no, card_id, affiliation_id
select distinct
    enrolments.document_no,
    enrolments.card_id,
    affiliations.affiliation_id
from loyalty._enrolments as enrolments
inner join loyalty._documents as documents
    on enrolments.document_no = documents.document_no
inner join customers.affiliations as affiliations
    on enrolments.earning_customer_id = affiliations.account
    and documents.business_date >= affiliations.known_from
    and documents.business_date < affiliations.known_to
    and documents.business_date >= affiliations.valid_from
    and (affiliations.valid_to is null or documents.business_date <= affiliations.valid_to)

-- The effective tier of each document's cards at the start of its business date.
-- grain: document_no, card_id, program_id
with

stays as (
    select
        card_id,
        program_id,
        tier_id,
        level,
        valid_from,
        coalesce(valid_to, date '9999-12-31') as valid_to
    from loyalty._stays
)

select
    enrolments.document_no,
    enrolments.card_id,
    enrolments.program_id,
    max_by(stays.tier_id, stays.level) as tier_id
from loyalty._enrolments as enrolments
inner join loyalty._documents as documents
    on enrolments.document_no = documents.document_no
inner join stays
    on enrolments.card_id = stays.card_id
    and enrolments.program_id = stays.program_id
    and documents.business_date between stays.valid_from and stays.valid_to
group by
    enrolments.document_no,
    enrolments.card_id,
    enrolments.program_id

-- What each sale line that comes back earned in all, for each card, program and reward point, in hundredths of a point.
-- grain: document_id, line_no, card_id, program_id, reward_point_id
with

documents as (
    select
        documents.document_no,
        documents.document_id,
        documents.card_id,
        returned.line_no
    from loyalty._documents as documents
    inner join loyalty._returned_lines as returned
        on documents.document_id = returned.document_id
    where documents.activity_type is null
)

select
    documents.document_id,
    documents.line_no,
    documents.card_id,
    rules.program_id,
    rules.reward_point_id,
    rules.unit_h,
    sum(earned.points_h) as points_h
from documents
inner join loyalty._applicable_rules as applications
    on documents.document_no = applications.document_no
inner join loyalty._rules as rules
    on applications.rule_no = rules.rule_no
inner join loyalty._earned_lines as earned
    on applications.application_no = earned.application_no
    and documents.line_no = earned.line_no
where earned.direction = 1
group by
    documents.document_id,
    documents.line_no,
    documents.card_id,
    rules.program_id,
    rules.reward_point_id,
    rules.unit_h

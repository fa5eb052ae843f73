-- Copies of the touched receipts that break a rule by which the programme in force on their date refuses receipts.
-- grain: document_id, drop_id
-- why: of several rules the first by name is named. A double is found later, among the others alone.
select
    faults.transaction_id as document_id,
    faults.drop_id,
    min(faults.rule) as rule,
    arg_min(faults.expected, (faults.rule, faults.line_no)) as expected,
    arg_min(faults.found, (faults.rule, faults.line_no)) as found
from ops._receipt_faults as faults
inner join ops._receipt_headers as receipts
    on faults.transaction_id = receipts.transaction_id
    and faults.drop_id = receipts.drop_id
inner join programme.refusing_rules as refusing
    on receipts.version = refusing.version
    and faults.rule = refusing.rule
group by
    faults.transaction_id,
    faults.drop_id

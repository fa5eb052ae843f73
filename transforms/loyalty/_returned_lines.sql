-- Sale lines that a return of tonight's documents names.
-- grain: document_id, line_no
select distinct
    original_transaction_id as document_id,
    original_line_no as line_no
from loyalty._lines
where
    kind = 'return'
    and original_transaction_id is not null

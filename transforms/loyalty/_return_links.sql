-- Return lines and the sale lines they say they bring back.
-- grain: document_id, line_no
with

lines as (
    select
        transaction_id,
        line_no,
        original_transaction_id,
        original_line_no,
        quantity,
        business_date
    from sales.lines
    where
        kind = 'return'
        and original_transaction_id is not null
)

select
    transaction_id as document_id,
    line_no,
    original_transaction_id as original_document_id,
    original_line_no,
    quantity,
    business_date
from lines

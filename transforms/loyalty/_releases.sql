-- Exceptions that somebody released: their effect is posted all the same.
-- grain: document_id, card_id, reason
select
    json_extract_string(content, '$.transaction_id') as document_id,
    json_extract_string(content, '$.card_id') as card_id,
    json_extract_string(content, '$.reason') as reason,
    max(seq) as seq
from ops.decisions
where
    kind = 'release'
    and recorded_on <= $business_date
group by all

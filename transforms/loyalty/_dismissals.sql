-- Exceptions that somebody closed without their effect.
-- grain: document_id, card_id, reason
select
    json_extract_string(content, '$.transaction_id') as document_id,
    json_extract_string(content, '$.card_id') as card_id,
    json_extract_string(content, '$.reason') as reason,
    max(seq) as seq
from ops.decisions
where
    kind = 'dismissal'
    and json_exists(content, '$.transaction_id') -- the others are of rows in quarantine
group by all

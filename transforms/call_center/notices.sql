-- Notices sent to customers whose goods are late, as decided on their nights.
-- grain: order_id, notice
select
    json_extract_string(content, '$.order_id') as order_id,
    json_extract_string(content, '$.notice') as notice,
    cast(json_extract_string(content, '$.due_on') as date) as due_on,
    cast(json_extract_string(content, '$.sent_on') as date) as sent_on
from ops.decisions
where kind = 'notice'

-- Accounts and GUIDs whose person was erased.
-- grain: id
with

decisions as (
    select
        content,
        seq
    from ops.decisions
    where kind = 'erasure'
)

select
    json_extract_string(content, '$.id') as id,
    min(seq) as seq
from decisions
group by json_extract_string(content, '$.id')

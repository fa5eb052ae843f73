-- Which account each GUID stands for.
-- grain: async_id
-- why: given once, as a recorded decision, and kept for ever; all that names the GUID shows the account.
with

decisions as (
    select
        decision_id,
        content,
        recorded_on,
        seq
    from ops.decisions
    where kind = 'account'
)

select
    json_extract_string(content, '$.async_id') as async_id,
    json_extract_string(content, '$.account') as account,
    cast(json_extract_string(content, '$.given_on') as date) as given_on,
    json_extract_string(content, '$.given_by') as given_by,
    seq
from decisions

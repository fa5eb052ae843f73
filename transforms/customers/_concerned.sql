-- The customers to be worked out, by account where there is one, and the GUIDs they were known by.
-- grain: id
with

ids as (
    select id
    from customers._touched_ids
)

select id
from ids

union

select account as id
from customers.account_map
where async_id in (select id from ids)

-- Operations that may count otherwise than last night.
-- grain: operation_id
-- why: tonight's drops bring them or used to, or a channel, a group or an attribute they name is described anew.
-- Each is asked by itself: most nights then need not read what came before.
with

touched_drops as (
    select drop_id
    from sales._touched_drops
),

changed as (
    select
        kind,
        id
    from customers._changed_references
)

select operation_id
from landed.customers
where drop_id in (select drop_id from touched_drops)

union

select operation_id
from customers.operation_versions
where drop_id in (select drop_id from touched_drops)

union

select operation_id
from customers.operation_versions
where channel_id in (select id from changed where kind = 'channel')

union

select operation_id
from customers.operation_versions
where
    reason = 'unknown_group'
    and exists (select 1 from changed where kind = 'group')

union

select operation_id
from landed.customer_attributes
where
    drop_date <= $business_date
    and attribute in (select id from changed where kind = 'attribute')

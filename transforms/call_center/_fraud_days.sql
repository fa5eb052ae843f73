-- Drop dates whose fraud checks are worked out tonight.
-- grain: checked_on
-- why: a check sees what was known on its own date, so what comes late changes the checks from its date on.
with

touched_drops as (
    select
        drop_id,
        feed,
        cast(split_part(drop_id, '/', 2) as date) as drop_date
    from sales._touched_drops
),

late as (
    select min(drop_date) as first_day
    from touched_drops
    where
        drop_date <= $since_date
        and (feed <> 'pos' or drop_id in (select drop_id from landed.customers))
)

select drop_date as checked_on
from touched_drops
where feed = 'call_center'

union

select orders.drop_date as checked_on
from landed.orders as orders
inner join late
    on orders.drop_date >= late.first_day
where orders.drop_date <= $business_date

union

select drop_date as checked_on
from call_center._changed_orders

-- Days of stores that are worked out tonight.
-- grain: business_date
-- why: the day after a changed one goes on from its registers' last numbers.
select business_date
from ops._changed_store_days

union

select registers.business_date
from ops._register_days as registers
inner join ops._changed_store_days as changed
    on changed.business_date >= registers.day_before
    and changed.business_date < registers.business_date
where registers.business_date not in (select business_date from ops._changed_store_days)

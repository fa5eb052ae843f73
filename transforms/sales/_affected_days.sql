-- Business dates whose partitions of sales change tonight.
-- grain: business_date
select business_date
from sales._holding
where counted

union

select business_date_before as business_date
from sales._holding
where counted_before

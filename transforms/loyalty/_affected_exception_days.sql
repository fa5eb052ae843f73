-- Business dates whose exceptions change tonight.
-- grain: business_date
select business_date
from loyalty._exceptions

union

select business_date
from loyalty.exceptions
where transaction_id in (select document_id from loyalty._worked_out)

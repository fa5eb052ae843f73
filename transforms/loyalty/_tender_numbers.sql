-- Numbers for the refund tenders of tonight's accounts.
-- grain: account_id, tender_key
select
    account_id,
    tender_key,
    row_number() over (order by account_id, tender_key) - 1 as tender
from (
    select distinct
        account_id,
        tender_key
    from loyalty._moves
    where tender_key is not null
) as tenders

-- On which days which channel sold in which currency.
-- grain: channel_id, business_date, currency
-- why: channels and rates are looked up for these, once, and not for each receipt.
select distinct
    channel_id,
    business_date,
    currency
from sales.transactions

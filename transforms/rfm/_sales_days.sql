-- On which days which channel sold in which currency.
-- grain: channel_id, business_date, currency
-- why: channels and rates are looked up for these, once, and not for each receipt; none where nothing is looked up.
with

looking_up as (
    select distinct true as is_asked
    from rfm._scopes
    where
        not is_plain
        or keeps_history
)

select distinct
    transactions.channel_id,
    transactions.business_date,
    transactions.currency
from sales.transactions as transactions
cross join looking_up

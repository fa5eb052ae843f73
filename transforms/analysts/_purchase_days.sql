-- On which days each customer bought or gave back.
-- grain: transaction
-- why: one customer's receipts are then read from the files of those days, not looked for in all of them. Sorted by
-- customer, so that a few blocks of it hold the answer.
select
    customer_id,
    business_date
from rfm._receipts
order by customer_id

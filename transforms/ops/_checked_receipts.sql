-- Receipts that are checked: those that count.
-- grain: transaction_id, drop_id
-- why: a night that may refuse receipts has the copies it has just taken in checked by the same rules, in the place of these.
select
    transactions.transaction_id,
    transactions.drop_id,
    transactions.channel_id as store_id,
    transactions.business_date,
    transactions.occurred_at,
    transactions.customer_id,
    transactions.loyalty_card_id
from customers.receipts as transactions
inner join landed.transactions as landed
    on transactions.transaction_id = landed.transaction_id
    and transactions.drop_id = landed.drop_id

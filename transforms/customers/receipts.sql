-- Counted transactions and invoiced orders with the customer that each belongs to by its own word.
-- grain: transaction_id
-- why: sales keep the id as the till wrote it; where it stands for nobody, all else must see no customer, and the card's
-- counts (spec 7-seeds-whole section 12). Who asks for the customer of a receipt asks here.
select
    transaction_id,
    channel_id,
    channel_kind,
    business_date,
    occurred_at,
    type,
    case when not coalesce(is_placeholder, false) then customer_id end as customer_id,
    loyalty_card_id,
    currency,
    net_amount,
    tax_amount,
    charges_amount,
    discount_amount,
    total_amount,
    loyalty_tender_amount,
    drop_id,
    posted_date
from sales.transactions

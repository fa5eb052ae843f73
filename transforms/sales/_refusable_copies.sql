-- Copies of the touched receipts that would count, as far as they themselves say.
-- grain: transaction_id, drop_id
-- why: only what would count can be refused; a receipt that was voided since needs no correction.
select
    landed.transaction_id,
    landed.drop_id,
    landed.store_id,
    times.business_date,
    times.occurred_at,
    case
        when exact.exact_id is null and folded.folded_id is null then coalesce(accounts.account, landed.customer_id)
    end as customer_id,
    landed.loyalty_card_id
from landed.transactions as landed
inner join sales._local_times as times
    on landed.transaction_id = times.document_id
    and landed.drop_id = times.drop_id
    and times.kind = 'transaction'
left join sales._voids as voids
    on landed.transaction_id = voids.document_id
left join customers.account_map as accounts
    on landed.customer_id = accounts.async_id
left join sales._placeholders as exact
    on trim(landed.customer_id) = exact.exact_id
    and times.business_date between exact.valid_from and exact.valid_to
left join sales._placeholders as folded
    on case
        when ltrim(trim(landed.customer_id), '0') = '' then '0' else lower(trim(landed.customer_id))
    end = folded.folded_id
    and times.business_date between folded.valid_from and folded.valid_to
where
    landed.drop_date <= $business_date
    and landed.transaction_id in (select document_id from sales._touched where kind = 'transaction')
    and landed.status = 'completed'
    and landed.type in ('sale', 'return', 'exchange')
    and landed.voids_transaction_id is null
    and voids.document_id is null

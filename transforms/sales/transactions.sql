-- Counted transactions and invoiced orders of the business dates that change tonight.
-- grain: transaction_id
-- why: a business date's partition is replaced as a whole: what stands there and was not touched, and what holds now.
-- A customer named by GUID shows the account as soon as there is one; whether the id stands for nobody is said beside it.
with

untouched as (
    select *
    from sales.transactions
    where
        business_date in (select business_date from sales._affected_days)
        and transaction_id not in (select document_id from sales._touched)
),

loyalty_tenders as (
    select
        'transaction' as kind,
        transaction_id as document_id,
        drop_id,
        tender_no,
        amount,
        currency
    from landed.tenders
    where
        type = 'loyalty'
        and amount > 0

    union all

    select
        'order' as kind,
        order_id as document_id,
        drop_id,
        payment_no as tender_no,
        amount,
        currency
    from landed.order_payments
    where
        type = 'loyalty'
        and status = 'paid'
        and amount > 0
),

headers as (
    select
        'transaction' as kind,
        transaction_id as document_id,
        drop_id,
        currency,
        total_amount
    from landed.transactions

    union all

    select
        'order' as kind,
        order_id as document_id,
        drop_id,
        currency,
        total_amount
    from landed.orders
),

paid as (
    select
        holding.kind,
        holding.document_id,
        loyalty_tenders.tender_no,
        loyalty_tenders.amount,
        headers.total_amount,
        case
            when coalesce(loyalty_tenders.currency, headers.currency) = headers.currency then 1
            else rates.rate
        end as rate
    from sales._holding as holding
    inner join loyalty_tenders
        on holding.kind = loyalty_tenders.kind
        and holding.document_id = loyalty_tenders.document_id
        and holding.drop_id = loyalty_tenders.drop_id
    inner join headers
        on holding.kind = headers.kind
        and holding.document_id = headers.document_id
        and holding.drop_id = headers.drop_id
    left join reference.exchange_rates as rates
        on loyalty_tenders.currency = rates.from_currency
        and headers.currency = rates.to_currency
        and loyalty_tenders.currency <> headers.currency
        and rates.date <= holding.business_date
        and holding.business_date between rates.valid_from and rates.valid_to
    where holding.counted
    qualify row_number() over (
        partition by holding.kind, holding.document_id, loyalty_tenders.tender_no
        order by rates.date desc
    ) = 1
),

-- Of a tender that no rate brings into the receipt's currency, or only beyond all bounds, no more is known than that
-- points paid: then all of it.
paid_by_points as (
    select
        kind,
        document_id,
        case
            when bool_or(rate is null) or sum(cast(amount as decimal(38, 2)) * rate) >= 1e15
                then greatest(any_value(total_amount), 0.01)
            else cast(round(sum(cast(amount as decimal(38, 2)) * rate), 2) as decimal(18, 2))
        end as loyalty_tender_amount
    from paid
    group by
        kind,
        document_id
),

channels as (
    select
        channel_id,
        kind,
        valid_from,
        valid_to
    from reference.channels
),

accounts as (
    select
        async_id,
        account
    from customers.account_map
),

receipts as (
    select
        holding.document_id as transaction_id,
        landed.store_id as channel_id,
        coalesce(channels.kind, 'store') as channel_kind,
        holding.business_date,
        times.occurred_at,
        landed.type,
        coalesce(accounts.account, landed.customer_id) as customer_id,
        landed.loyalty_card_id,
        landed.currency,
        landed.net_amount,
        landed.tax_amount,
        landed.charges_amount,
        landed.discount_amount,
        landed.total_amount,
        coalesce(paid_by_points.loyalty_tender_amount, 0) as loyalty_tender_amount,
        holding.drop_id,
        holding.posted_date
    from sales._holding as holding
    inner join landed.transactions as landed
        on holding.document_id = landed.transaction_id
        and holding.drop_id = landed.drop_id
    inner join sales._local_times as times
        on holding.kind = times.kind
        and holding.document_id = times.document_id
        and holding.drop_id = times.drop_id
    left join paid_by_points
        on holding.kind = paid_by_points.kind
        and holding.document_id = paid_by_points.document_id
    left join channels
        on landed.store_id = channels.channel_id
        and holding.business_date between channels.valid_from and channels.valid_to
    left join accounts
        on landed.customer_id = accounts.async_id
    where
        holding.kind = 'transaction'
        and holding.counted
),

order_kinds as (
    select
        order_id,
        drop_id,
        bool_or(kind <> 'return') as sells,
        bool_or(kind = 'return') as returns
    from landed.order_lines
    group by
        order_id,
        drop_id
),

invoices as (
    select
        holding.document_id as transaction_id,
        landed.call_center_id as channel_id,
        'call_center' as channel_kind,
        holding.business_date,
        times.occurred_at,
        case
            when order_kinds.sells and order_kinds.returns then 'exchange'
            when order_kinds.returns then 'return'
            else 'sale'
        end as type,
        coalesce(accounts.account, landed.customer_id) as customer_id,
        landed.loyalty_card_id,
        landed.currency,
        landed.net_amount,
        landed.tax_amount,
        landed.charges_amount,
        landed.discount_amount,
        landed.total_amount,
        coalesce(paid_by_points.loyalty_tender_amount, 0) as loyalty_tender_amount,
        holding.drop_id,
        holding.posted_date
    from sales._holding as holding
    inner join landed.orders as landed
        on holding.document_id = landed.order_id
        and holding.drop_id = landed.drop_id
    inner join sales._local_times as times
        on holding.kind = times.kind
        and holding.document_id = times.document_id
        and holding.drop_id = times.drop_id
    left join order_kinds
        on landed.order_id = order_kinds.order_id
        and landed.drop_id = order_kinds.drop_id
    left join paid_by_points
        on holding.kind = paid_by_points.kind
        and holding.document_id = paid_by_points.document_id
    left join accounts
        on landed.customer_id = accounts.async_id
    where
        holding.kind = 'order'
        and holding.counted
),

documents as (
    select * from receipts
    union all by name
    select * from invoices
)

select * from untouched
union all by name
select
    documents.*,
    exact.exact_id is not null or folded.folded_id is not null as is_placeholder
from documents
left join sales._placeholders as exact
    on trim(documents.customer_id) = exact.exact_id
    and documents.business_date between exact.valid_from and exact.valid_to
left join sales._placeholders as folded
    on case
        when ltrim(trim(documents.customer_id), '0') = '' then '0' else lower(trim(documents.customer_id))
    end = folded.folded_id
    and documents.business_date between folded.valid_from and folded.valid_to

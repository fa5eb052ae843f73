-- Documents with a line whose product, a channel whose kind, or a loyalty tender whose rate tonight's drops give otherwise, or
-- whose customer has an account only now, or stands for nobody where it did not, or the other way round.
-- grain: document_id
-- why: a description that comes late makes the facts it concerns be worked out again.
with

described as (
    select distinct product_id
    from landed.products
    where drop_id in (select drop_id from sales._touched_drops)

    union

    select name as product_id
    from ops.withdrawn
    where
        seq > $since
        and dataset = 'products'
),

accounts as (
    select async_id
    from customers.account_map
    where seq > $since
),

moved as (
    select distinct channel_id
    from landed.channels
    where drop_id in (select drop_id from sales._touched_drops)

    union

    select name as channel_id
    from ops.withdrawn
    where
        seq > $since
        and dataset = 'channels'
),

zoned as (
    select moved.channel_id
    from moved
    inner join landed.channels as landed
        on moved.channel_id = landed.channel_id
    where landed.drop_date <= $business_date
    group by moved.channel_id
    having count(distinct landed.time_zone) > 1 or count(*) = 1
),

rated as (
    select
        from_currency,
        min(date) as first_date
    from landed.exchange_rates
    where drop_id in (select drop_id from sales._touched_drops)
    group by from_currency

    union all

    select
        name as from_currency,
        date '0001-01-01' as first_date
    from ops.withdrawn
    where
        seq > $since
        and dataset = 'exchange_rates'
)

select distinct lines.transaction_id as document_id
from sales.lines as lines
inner join described
    on lines.product_id = described.product_id
left join sales._product_of_day as products
    on lines.product_id = products.product_id
    and lines.business_date between products.valid_from and products.valid_to
where
    lines.category_id is distinct from products.category_id
    or lines.eligible_points is distinct from products.eligible_points

union

select transaction_id as document_id
from landed.transactions
where
    drop_date <= $business_date
    and customer_id in (select async_id from accounts)

union

select order_id as document_id
from landed.orders
where
    drop_date <= $business_date
    and customer_id in (select async_id from accounts)

union

select transactions.transaction_id as document_id
from sales.transactions as transactions
inner join moved
    on transactions.channel_id = moved.channel_id
left join reference.channels as channels
    on transactions.channel_id = channels.channel_id
    and transactions.business_date between channels.valid_from and channels.valid_to
inner join sales._documents_now as documents
    on transactions.transaction_id = documents.document_id
    and documents.kind = 'transaction'
where transactions.channel_kind <> coalesce(channels.kind, 'store')

union

-- Receipts and orders by the clock of a channel whose zone may be another now.
select transaction_id as document_id
from landed.transactions
where
    drop_date <= $business_date
    and store_id in (select channel_id from zoned)
    and (started_local or ended_local or business_date is null)

union

select order_id as document_id
from landed.orders
where
    drop_date <= $business_date
    and call_center_id in (select channel_id from zoned)
    and ordered_local

union

select transactions.transaction_id as document_id
from sales.tenders as tenders
inner join sales.transactions as transactions
    on tenders.transaction_id = transactions.transaction_id
    and tenders.business_date = transactions.business_date
inner join rated
    on tenders.currency = rated.from_currency
    and tenders.business_date >= rated.first_date
where
    tenders.type = 'loyalty'
    and tenders.currency <> transactions.currency

union

select transactions.transaction_id as document_id
from sales.transactions as transactions
inner join sales._changed_placeholders as changed
    on trim(transactions.customer_id) = changed.exact_id
    and transactions.business_date between changed.valid_from and changed.valid_to

union

select transactions.transaction_id as document_id
from sales.transactions as transactions
inner join sales._changed_placeholders as changed
    on case
        when ltrim(trim(transactions.customer_id), '0') = '' then '0' else lower(trim(transactions.customer_id))
    end = changed.folded_id
    and transactions.business_date between changed.valid_from and changed.valid_to

-- What each catalog sold in each channel: by its codes, and to those it was mailed to without.
-- grain: catalog_id, channel_id
-- why: direct: an invoiced order with a source code of the catalog. Indirect: bought anywhere by a customer, from the
-- newest mailing to them until its code ends, without a code of that catalog.
with

transactions as (
    select
        transaction_id,
        channel_id,
        business_date,
        customer_id,
        net_amount,
        currency
    from customers.receipts
    where type in ('sale', 'exchange')
),

rates as (
    select
        currency,
        into_accounting as rate
    from reference._rates
    where into_accounting is not null
),

orders as (
    select
        order_id,
        source_code
    from call_center._orders
),

source_codes as (
    select
        source_code,
        catalog_id,
        coalesce(valid_to, date '9999-12-31') as valid_to
    from call_center._source_codes
    where catalog_id is not null
),

customer_ids as (
    select
        customer_id,
        account
    from call_center._customer_ids
),

mailings as (
    select distinct
        mailings.source_code,
        mailings.mailed_on,
        coalesce(customer_ids.account, mailings.customer_id) as customer_id
    from landed.catalog_mailings as mailings
    left join customer_ids
        on mailings.customer_id = customer_ids.customer_id
    where mailings.drop_date <= $business_date
),

bought as (
    select
        transactions.transaction_id,
        transactions.channel_id,
        transactions.business_date,
        coalesce(customer_ids.account, transactions.customer_id) as customer_id,
        case
            when abs(cast(transactions.net_amount as decimal(38, 2)) * rates.rate) < 1e15
                then cast(round(cast(transactions.net_amount as decimal(38, 2)) * rates.rate, 2) as decimal(18, 2))
        end as net_amount,
        source_codes.catalog_id as direct_catalog_id
    from transactions
    inner join rates
        on transactions.currency = rates.currency
    left join orders
        on transactions.transaction_id = orders.order_id
    left join source_codes
        on orders.source_code = source_codes.source_code
    left join customer_ids
        on transactions.customer_id = customer_ids.customer_id
),

newest_mailings as (
    select
        bought.transaction_id,
        mailings.source_code
    from bought
    inner join mailings
        on bought.customer_id = mailings.customer_id
        and bought.business_date >= mailings.mailed_on
    qualify row_number() over (
        partition by bought.transaction_id
        order by mailings.mailed_on desc, mailings.source_code desc
    ) = 1
),

attributed as (
    select
        direct_catalog_id as catalog_id,
        channel_id,
        net_amount,
        true as direct
    from bought
    where direct_catalog_id is not null

    union all

    select
        source_codes.catalog_id,
        bought.channel_id,
        bought.net_amount,
        false as direct
    from bought
    inner join newest_mailings
        on bought.transaction_id = newest_mailings.transaction_id
    inner join source_codes
        on newest_mailings.source_code = source_codes.source_code
        and bought.business_date <= source_codes.valid_to
    where bought.direct_catalog_id is distinct from source_codes.catalog_id
)

select
    catalog_id,
    channel_id,
    count(*) filter (direct) as direct_orders,
    coalesce(sum(net_amount) filter (direct), 0) as direct_sales,
    count(*) filter (not direct) as indirect_orders,
    coalesce(sum(net_amount) filter (not direct), 0) as indirect_sales
from attributed
group by
    catalog_id,
    channel_id

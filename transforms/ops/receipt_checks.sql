-- What is odd about receipts that count: said for a look, and nothing else.
-- grain: transaction_id, line_no, rule; line_no 0 stands for the receipt as a whole
-- why: tills price and print; a receipt that a till sent under two ids, or whose parts do not add up, counts as it is and is
-- told (spec 7-seeds-whole section 9). What may not count at all is in ops.quarantine.
with

receipts as (
    select
        transactions.transaction_id,
        transactions.channel_id as store_id,
        transactions.business_date,
        transactions.occurred_at,
        transactions.customer_id,
        transactions.currency,
        transactions.tax_amount,
        transactions.discount_amount,
        transactions.total_amount,
        landed.drop_id,
        landed.register_id,
        landed.transaction_no
    from customers.receipts as transactions
    inner join landed.transactions as landed
        on transactions.transaction_id = landed.transaction_id
        and transactions.drop_id = landed.drop_id
),

printed as (
    select
        *,
        first_value(transaction_id) over (
            partition by business_date, store_id, register_id, transaction_no, total_amount
            order by occurred_at nulls first, transaction_id
        ) as first_id
    from receipts
),

lines as (
    select
        receipts.transaction_id,
        receipts.store_id,
        receipts.business_date,
        landed.line_no,
        landed.kind,
        landed.product_id,
        landed.quantity,
        landed.unit_price,
        landed.net_amount,
        landed.tax_amount,
        landed.discount_amount
    from receipts
    inner join landed.lines as landed
        on receipts.transaction_id = landed.transaction_id
        and receipts.drop_id = landed.drop_id
    where not landed.voided
),

summed as (
    select
        transaction_id,
        sum(tax_amount) as tax_amount,
        sum(discount_amount) as discount_amount
    from lines
    group by transaction_id
),

paid as (
    select
        tenders.transaction_id,
        sum(tenders.amount) as amount
    from sales.tenders as tenders
    inner join receipts
        on tenders.transaction_id = receipts.transaction_id
    group by tenders.transaction_id
    having bool_and(tenders.currency = receipts.currency)
),

found as (
    select
        transaction_id,
        0 as line_no,
        'double' as rule,
        store_id,
        business_date,
        first_id as expected,
        transaction_id as found
    from printed
    where transaction_id <> first_id

    union all

    select
        receipts.transaction_id,
        0 as line_no,
        'tenders' as rule,
        receipts.store_id,
        receipts.business_date,
        cast(receipts.total_amount as varchar) as expected,
        cast(paid.amount as varchar) as found
    from receipts
    inner join paid
        on receipts.transaction_id = paid.transaction_id
    where abs(receipts.total_amount - paid.amount) > 0.01

    union all

    select
        receipts.transaction_id,
        0 as line_no,
        'tax' as rule,
        receipts.store_id,
        receipts.business_date,
        cast(summed.tax_amount as varchar) as expected,
        cast(receipts.tax_amount as varchar) as found
    from receipts
    inner join summed
        on receipts.transaction_id = summed.transaction_id
    where receipts.tax_amount <> summed.tax_amount

    union all

    select
        receipts.transaction_id,
        0 as line_no,
        'discount' as rule,
        receipts.store_id,
        receipts.business_date,
        cast(summed.discount_amount as varchar) as expected,
        cast(receipts.discount_amount as varchar) as found
    from receipts
    inner join summed
        on receipts.transaction_id = summed.transaction_id
    where receipts.discount_amount <> summed.discount_amount

    union all

    select
        transaction_id,
        0 as line_no,
        'empty' as rule,
        store_id,
        business_date,
        'a line' as expected,
        'none' as found
    from receipts
    where transaction_id not in (select transaction_id from summed)

    union all

    select
        transaction_id,
        line_no,
        'sign' as rule,
        store_id,
        business_date,
        cast(quantity as varchar) as expected,
        cast(net_amount as varchar) as found
    from lines
    where sign(quantity) * sign(net_amount) < 0

    union all

    select
        transaction_id,
        line_no,
        'negative_price' as rule,
        store_id,
        business_date,
        '0 or more' as expected,
        cast(unit_price as varchar) as found
    from lines
    where unit_price < 0

    union all

    select
        transaction_id,
        line_no,
        'unknown' as rule,
        store_id,
        business_date,
        'a product' as expected,
        product_id as found
    from lines
    where
        kind in ('sale', 'return')
        and product_id not in (select product_id from reference.products where product_id is not null)
)

select
    transaction_id,
    line_no,
    rule,
    store_id,
    business_date,
    expected,
    found,
    'reported' as effect
from found

-- What is odd about the checked receipts, each by itself.
-- grain: transaction_id, drop_id, line_no, rule; line_no 0 stands for the receipt as a whole
-- why: one text of each rule (spec 7-seeds-whole section 9) for what is told and for what a programme refuses.
with

lines as (
    select
        receipts.transaction_id,
        receipts.drop_id,
        receipts.store_id,
        receipts.business_date,
        receipts.smallest_amount,
        landed.line_no,
        landed.kind,
        landed.product_id,
        landed.quantity,
        landed.unit_price,
        landed.net_amount,
        landed.tax_amount,
        landed.discount_amount
    from ops._receipt_headers as receipts
    inner join landed.lines as landed
        on receipts.transaction_id = landed.transaction_id
        and receipts.drop_id = landed.drop_id
    where not landed.voided
),

summed as (
    select
        transaction_id,
        drop_id,
        sum(tax_amount) as tax_amount,
        sum(discount_amount) as discount_amount
    from lines
    group by
        transaction_id,
        drop_id
),

-- Amounts that the currency has no coin for: of the header and its tenders, and of each line.
amounts as (
    select
        transaction_id,
        drop_id,
        0 as line_no,
        store_id,
        business_date,
        smallest_amount,
        unnest([net_amount, tax_amount, charges_amount, discount_amount, total_amount]) as amount
    from ops._receipt_headers

    union all

    select
        receipts.transaction_id,
        receipts.drop_id,
        0 as line_no,
        receipts.store_id,
        receipts.business_date,
        receipts.smallest_amount,
        tenders.amount
    from ops._receipt_headers as receipts
    inner join landed.tenders as tenders
        on receipts.transaction_id = tenders.transaction_id
        and receipts.drop_id = tenders.drop_id
        and receipts.currency = tenders.currency

    union all

    select
        transaction_id,
        drop_id,
        line_no,
        store_id,
        business_date,
        smallest_amount,
        unnest([net_amount, tax_amount, discount_amount]) as amount
    from lines
)

select
    receipts.transaction_id,
    receipts.drop_id,
    0 as line_no,
    'tenders' as rule,
    receipts.store_id,
    receipts.business_date,
    cast(receipts.total_amount as varchar) as expected,
    cast(tendered.amount as varchar) as found
from ops._receipt_headers as receipts
inner join ops._tendered as tendered
    on receipts.transaction_id = tendered.transaction_id
    and receipts.drop_id = tendered.drop_id
where abs(receipts.total_amount - tendered.amount) > receipts.tender_limit

union all

select
    receipts.transaction_id,
    receipts.drop_id,
    0 as line_no,
    'tax' as rule,
    receipts.store_id,
    receipts.business_date,
    cast(summed.tax_amount as varchar) as expected,
    cast(receipts.tax_amount as varchar) as found
from ops._receipt_headers as receipts
inner join summed
    on receipts.transaction_id = summed.transaction_id
    and receipts.drop_id = summed.drop_id
where receipts.tax_amount <> summed.tax_amount

union all

select
    receipts.transaction_id,
    receipts.drop_id,
    0 as line_no,
    'discount' as rule,
    receipts.store_id,
    receipts.business_date,
    cast(summed.discount_amount as varchar) as expected,
    cast(receipts.discount_amount as varchar) as found
from ops._receipt_headers as receipts
inner join summed
    on receipts.transaction_id = summed.transaction_id
    and receipts.drop_id = summed.drop_id
where receipts.discount_amount <> summed.discount_amount

union all

select
    receipts.transaction_id,
    receipts.drop_id,
    0 as line_no,
    'empty' as rule,
    receipts.store_id,
    receipts.business_date,
    'a line' as expected,
    'none' as found
from ops._receipt_headers as receipts
left join summed
    on receipts.transaction_id = summed.transaction_id
    and receipts.drop_id = summed.drop_id
where summed.transaction_id is null

union all

select
    transaction_id,
    drop_id,
    line_no,
    'sign' as rule,
    store_id,
    business_date,
    'the sign of ' || quantity as expected,
    cast(net_amount as varchar) as found
from lines
where sign(quantity) * sign(net_amount) < 0

union all

select
    transaction_id,
    drop_id,
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
    drop_id,
    line_no,
    'rounding' as rule,
    any_value(store_id) as store_id,
    any_value(business_date) as business_date,
    'multiples of ' || rtrim(rtrim(cast(any_value(smallest_amount) as varchar), '0'), '.') as expected,
    cast(min(amount) as varchar) as found
from amounts
where amount % smallest_amount <> 0
group by
    transaction_id,
    drop_id,
    line_no

union all

select
    transaction_id,
    drop_id,
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

union all

select
    transaction_id,
    drop_id,
    0 as line_no,
    'unknown' as rule,
    store_id,
    business_date,
    'a customer' as expected,
    customer_id as found
from ops._unknown_customers

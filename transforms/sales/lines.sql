-- Counted lines of the business dates that change tonight.
-- grain: transaction_id, line_no
with

untouched as (
    select *
    from sales.lines
    where
        business_date in (select business_date from sales._affected_days)
        and transaction_id not in (select document_id from sales._touched)
),

products as (
    select
        product_id,
        category_id,
        eligible_points,
        valid_from,
        valid_to
    from sales._product_of_day
),

sold as (
    select
        transaction_id as document_id,
        'transaction' as document_kind,
        drop_id,
        line_no,
        kind,
        product_id,
        variant_id,
        quantity,
        net_amount,
        tax_amount,
        discount_amount,
        original_transaction_id,
        original_line_no
    from landed.lines
    where not coalesce(voided, false)

    union all

    select
        order_id as document_id,
        'order' as document_kind,
        drop_id,
        line_no,
        kind,
        product_id,
        variant_id,
        quantity,
        net_amount,
        tax_amount,
        discount_amount,
        original_order_id as original_transaction_id,
        original_line_no
    from landed.order_lines
),

counted as (
    select
        holding.document_id as transaction_id,
        sold.line_no,
        sold.kind,
        sold.product_id,
        sold.variant_id,
        products.category_id,
        products.eligible_points,
        sold.quantity,
        sold.net_amount,
        sold.tax_amount,
        sold.discount_amount,
        sold.original_transaction_id,
        sold.original_line_no,
        holding.business_date
    from sales._holding as holding
    inner join sold
        on holding.document_id = sold.document_id
        and holding.kind = sold.document_kind
        and holding.drop_id = sold.drop_id
    left join products
        on sold.product_id = products.product_id
        and holding.business_date between products.valid_from and products.valid_to
    where holding.counted
)

select * from untouched
union all by name
select * from counted

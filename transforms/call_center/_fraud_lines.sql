-- Sale lines of the versions to check for fraud, each with its order: all a rule of level line may ask.
-- grain: order_id, checked_on, line_no
-- why: a rule that names a coupon means it however the order spells it.
with

orders as (
    select *
    from call_center._fraud_orders
),

lines as (
    select *
    from landed.order_lines
    where
        kind = 'sale'
        and drop_date in (select checked_on from call_center._fraud_days)
)

select
    orders.* exclude (order_id, drop_id, net_amount, tax_amount, discount_amount, delivery_mode, catalog_id),
    orders.order_id,
    lines.line_no,
    lines.kind,
    lines.product_id,
    lines.variant_id,
    lines.quantity,
    lines.unit_price,
    lines.discount_amount,
    lines.net_amount,
    lines.tax_amount,
    lines.delivery_mode,
    lines.catalog_id,
    spellings.coupon_code,
    lines.price_overridden,
    lines.cost_price,
    lines.original_order_id,
    lines.original_line_no,
    lines.shipped_date,
    lines.gift_card_id
from orders
inner join lines
    on orders.order_id = lines.order_id
    and orders.drop_id = lines.drop_id
left join call_center._coupon_spellings as spellings
    on lines.coupon_code = spellings.spelling

-- Lines of the newest version of each order in scope, with what is known of their products.
-- grain: order_id, line_no
-- why: a coupon is known by its code as head office writes it, however an order spells it; an unknown one by its folded form.
with

orders as (
    select
        order_id,
        drop_id,
        catalog_id,
        delivery_mode
    from call_center._orders
),

lines as (
    select *
    from landed.order_lines
),

products as (
    select
        product_id,
        category_id,
        cost_price,
        notice_exempt,
        installments
    from call_center._products
)

select
    lines.order_id,
    lines.line_no,
    lines.kind,
    lines.product_id,
    lines.quantity,
    lines.unit_price,
    lines.net_amount,
    spellings.coupon_code,
    lines.price_overridden,
    lines.cost_price,
    lines.shipped_date,
    lines.gift_card_id,
    lines.original_order_id,
    lines.original_line_no,
    coalesce(lines.delivery_mode, orders.delivery_mode) as delivery_mode,
    coalesce(lines.catalog_id, orders.catalog_id) as catalog_id,
    products.category_id,
    products.cost_price as item_cost,
    coalesce(products.notice_exempt, false) as notice_exempt,
    coalesce(products.installments, false) as installments
from orders
inner join lines
    on orders.order_id = lines.order_id
    and orders.drop_id = lines.drop_id
left join products
    on lines.product_id = products.product_id
left join call_center._coupon_spellings as spellings
    on lines.coupon_code = spellings.spelling

-- What the call center must know of products, by the newest record; of variants the first decides.
-- grain: product_id
with

products as (
    select
        product_id,
        variant_id,
        category_id,
        cost_price,
        notice_exempt,
        installments,
        drop_date,
        drop_id
    from landed.products
    where drop_date <= $business_date
)

select
    product_id,
    category_id,
    cost_price,
    coalesce(notice_exempt, false) as notice_exempt,
    coalesce(installments, false) as installments
from products
qualify row_number() over (
    partition by product_id
    order by drop_date desc, drop_id desc, variant_id nulls first
) = 1

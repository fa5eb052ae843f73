-- Dataset products, the same for every database: all as they hold on the opening day.
-- grain: product_id, variant_id
with

request as (
    select opening_day
    from distribution._request
)

select
    products.product_id,
    coalesce(products.variant_id, '') as variant_id,
    products.name,
    products.category_id,
    products.brand,
    coalesce(products.eligible_points, true) as eligible_points
from reference.products as products
inner join request
    on request.opening_day between products.valid_from and products.valid_to

-- Each product's category and eligibility, by the business dates that see it; its variants agree or the first decides.
-- grain: product_id, valid_from
with

products as (
    select
        product_id,
        variant_id,
        category_id,
        eligible_points,
        valid_from,
        valid_to
    from reference.products
)

select
    product_id,
    category_id,
    coalesce(eligible_points, true) as eligible_points,
    valid_from,
    valid_to
from products
qualify row_number() over (partition by product_id, valid_from order by variant_id nulls first) = 1

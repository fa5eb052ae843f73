-- The coupon each spelling of a code in an order means, by its code as head office writes it; an unknown one's folded form.
-- grain: spelling
with

spellings as (
    select distinct coupon_code as spelling
    from landed.order_lines
    where coupon_code is not null
)

select
    spellings.spelling,
    coalesce(coupons.coupon_code, folded(spellings.spelling)) as coupon_code
from spellings
left join call_center._coupons as coupons
    on folded(spellings.spelling) = coupons.code

-- Coupons by their newest record, found whatever way a code is written.
-- grain: code
-- why: a code that looks the same is the same: NFKC, without spaces around it, in any case.
select
    folded(coupon_code) as code,
    coupon_code,
    coalesce(valid_from, date '0001-01-01') as valid_from,
    coalesce(valid_to, date '9999-12-31') as valid_to,
    status,
    usage_limit,
    coalesce(limit_per, 'global') as limit_per
from landed.coupons
where drop_date <= $business_date
qualify row_number() over (
    partition by folded(coupon_code)
    order by drop_date desc, drop_id desc, coupon_code
) = 1

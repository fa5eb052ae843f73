-- Source codes by their newest record.
-- grain: source_code
select
    source_code,
    catalog_id,
    valid_from,
    valid_to,
    distribution_quantity,
    projected_orders,
    projected_sales,
    coalesce(mailing_cost, 0) + coalesce(printing_cost, 0) + coalesce(other_cost, 0) as cost
from landed.source_codes
where drop_date <= $business_date
qualify row_number() over (partition by source_code order by drop_date desc, drop_id desc) = 1

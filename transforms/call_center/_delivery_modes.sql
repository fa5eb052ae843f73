-- Delivery modes by their newest record.
-- grain: mode
select
    mode,
    string_split(channels, '|') as channels,
    string_split(excluded_categories, '|') as excluded_categories,
    string_split(excluded_countries, '|') as excluded_countries,
    expedite_code
from landed.delivery_modes
where drop_date <= $business_date
qualify row_number() over (partition by mode order by drop_date desc, drop_id desc) = 1

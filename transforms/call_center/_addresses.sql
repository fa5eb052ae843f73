-- Addresses of orders in scope, each part normalized as the fraud list is.
-- grain: order_id, drop_id, area, line_no
select
    order_id,
    drop_id,
    drop_date,
    area,
    line_no,
    upper(trim(country)) as country,
    regexp_replace(regexp_replace(phone, '[^0-9]', '', 'g'), '^00', '') as phone,
    lower(trim(email)) as email,
    upper(split_part(replace(zip, ' ', ''), '-', 1)) as zip,
    case when contains(zip, '-') then upper(replace(zip, ' ', '')) end as extended_zip
from landed.order_addresses
where order_id in (select order_id from call_center._scope)

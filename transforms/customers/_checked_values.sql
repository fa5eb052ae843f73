-- Each contact value with its normalized form and whether it can be one at all.
-- grain: kind, value, country
select
    kind,
    value,
    country,
    normalized,
    is_valid
from customers._read_values

union all

select
    kind,
    value,
    '' as country,
    normalized,
    is_valid
from customers._known_values

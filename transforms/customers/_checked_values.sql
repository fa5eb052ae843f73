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

select distinct
    versions.kind,
    versions.value,
    '' as country,
    versions.normalized,
    versions.is_valid
from customers.contact_versions as versions
inner join customers._contact_events as events
    on versions.account = events.account
    and versions.kind = events.kind
    and versions.value = events.value
    and events.country = ''
left join customers._read_values as read_tonight
    on versions.kind = read_tonight.kind
    and versions.value = read_tonight.value
    and read_tonight.country = ''
where read_tonight.value is null

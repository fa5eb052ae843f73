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
where (versions.kind, versions.value) not in (
    select
        kind,
        value
    from customers._read_values
    where country = ''
)

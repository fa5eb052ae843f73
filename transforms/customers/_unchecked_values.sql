-- Contact values that no earlier night has looked at.
-- grain: kind, value, country
-- why: reading a number takes longer than all else; one that names its country is the same whoever reads it.
with

known as (
    select
        kind,
        value
    from customers.contact_versions
    where account in (select id from customers._concerned)
)

select distinct
    events.kind,
    events.value,
    events.country
from customers._contact_events as events
left join known
    on events.kind = known.kind
    and events.value = known.value
    and events.country = ''
where known.value is null

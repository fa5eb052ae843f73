-- Contact values that no earlier night has looked at.
-- grain: kind, value, country
select distinct
    events.kind,
    events.value,
    events.country
from customers._contact_events as events
left join customers._known_values as known
    on events.kind = known.kind
    and events.value = known.value
where
    known.value is null
    and events.held_from is null

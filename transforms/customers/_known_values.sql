-- Contact values of tonight that an earlier night has looked at.
-- grain: kind, value
-- why: reading a number takes longer than all else; an address, and a number that names its country, is the same
-- whoever reads it.
with

said as (
    select distinct
        kind,
        value
    from customers._contact_events
    where
        held_from is null
        and (kind = 'email' or starts_with(trim(value), '+'))
)

select
    earlier.kind,
    earlier.value,
    max_by(earlier.normalized, earlier.seq) as normalized,
    max_by(earlier.is_valid, earlier.seq) as is_valid
from customers._earlier_contacts as earlier
inner join said
    on earlier.kind = said.kind
    and earlier.value = said.value
group by
    earlier.kind,
    earlier.value

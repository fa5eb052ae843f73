-- The newest date of each definition and the one before it: what the page opens with.
-- grain: definition
with

dates as (
    select distinct
        definition,
        as_of
    from rfm.segments
)

select
    definition,
    as_of,
    lag(as_of) over (partition by definition order by as_of) as before
from dates
qualify row_number() over (partition by definition order by as_of desc) = 1

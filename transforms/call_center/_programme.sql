-- The call center's rules with the days on which each version judges.
-- grain: version
with

versions as (
    select
        version,
        coalesce(in_force_from, date '0001-01-01') as first_day,
        coalesce(in_force_to, date '9999-12-31') as last_day
    from programme.versions
),

rules as (
    select *
    from programme.call_center
)

select
    versions.first_day,
    versions.last_day,
    rules.*
from versions
inner join rules
    on versions.version = rules.version

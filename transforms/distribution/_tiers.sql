-- Dataset tiers of each database: all of the programme's version in force on the opening day.
-- grain: database, program_id, tier_id
with

request as (
    select version
    from distribution._request
),

databases as (
    select distinct database
    from distribution._databases
)

select
    databases.database,
    tiers.program_id,
    tiers.tier_id,
    tiers.level
from programme.tiers as tiers
inner join request
    on tiers.version = request.version
cross join databases

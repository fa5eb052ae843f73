-- Dataset tiers, the same for every database: all of the programme's version in force on the opening day.
-- grain: program_id, tier_id
with

request as (
    select version
    from distribution._request
)

select
    tiers.program_id,
    tiers.tier_id,
    tiers.level
from programme.tiers as tiers
inner join request
    on tiers.version = request.version

-- Dataset price_groups of each database: all of the programme's version in force on the opening day.
-- grain: database, program_id, tier_id, price_group
with

request as (
    select version
    from distribution._request
),

databases as (
    select distinct database
    from distribution._databases
),

groups as (
    select distinct
        price_groups.program_id,
        coalesce(price_groups.tier_id, '') as tier_id,
        price_groups.price_group
    from programme.price_groups as price_groups
    inner join request
        on price_groups.version = request.version
)

select
    databases.database,
    groups.program_id,
    groups.tier_id,
    groups.price_group
from groups
cross join databases

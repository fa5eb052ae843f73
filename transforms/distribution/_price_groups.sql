-- Dataset price_groups, the same for every database: all of the programme's version in force on the opening day.
-- grain: program_id, tier_id, price_group
with

request as (
    select version
    from distribution._request
)

select distinct
    price_groups.program_id,
    coalesce(price_groups.tier_id, '') as tier_id,
    price_groups.price_group
from programme.price_groups as price_groups
inner join request
    on price_groups.version = request.version

-- Control totals of job 1050 for each database, besides the number of rows.
-- grain: database, total, name
-- why: a store counts the same from what it holds, so both know that it holds the same (spec 6-distribution).
with

cards as (
    select
        database,
        count(distinct card_id) as counted
    from distribution._cards
    group by database
),

available as (
    select
        database,
        reward_point_id,
        sum(available) as points
    from distribution._card_balances
    group by
        database,
        reward_point_id
),

tiers as (
    select
        database,
        program_id || '/' || tier_id as tier,
        count(distinct card_id) as counted
    from distribution._card_tiers
    group by
        database,
        program_id,
        tier_id
)

select
    database,
    'cards' as total,
    '' as name,
    cast(counted as varchar) as value
from cards

union all

select
    database,
    'available' as total,
    reward_point_id as name,
    cast(cast(points as decimal(38, 2)) as varchar) as value
from available

union all

select
    database,
    'tiers' as total,
    tier as name,
    cast(counted as varchar) as value
from tiers

order by
    database,
    total,
    name

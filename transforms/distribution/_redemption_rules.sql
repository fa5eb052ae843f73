-- Dataset redemption_rules of each database: the rules that reach its channels and have not ended.
-- grain: database, channel_id, rule_id
with

request as (
    select
        version,
        opening_day
    from distribution._request
),

rules as (
    select rules.*
    from programme.redemption_rules as rules
    inner join request
        on rules.version = request.version
    where
        coalesce(rules.valid_to, request.opening_day) >= request.opening_day
        and (rules.valid_from is null or rules.valid_to is null or rules.valid_from <= rules.valid_to)
)

select
    schemes.database,
    schemes.channel_id,
    rules.rule_id,
    rules.scheme_id,
    rules.program_id,
    rules.tier_id,
    rules.affiliation_id,
    rules.category_id,
    rules.product_id,
    rules.variant_id,
    cast(rules.per_milli * cast(0.001 as decimal(4, 3)) as decimal(18, 3)) as per,
    rules.currency,
    rules.reward_point_id,
    cast(rules.points_h * cast(0.01 as decimal(3, 2)) as decimal(18, 2)) as points,
    rules.valid_from,
    rules.valid_to,
    rules.type
from distribution._schemes as schemes
inner join rules
    on schemes.scheme_id = rules.scheme_id

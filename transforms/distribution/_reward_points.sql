-- Dataset reward_points, the same for every database: all of the programme's version in force on the opening day.
-- grain: reward_point_id
with

request as (
    select version
    from distribution._request
)

select
    reward_points.reward_point_id,
    reward_points.type,
    reward_points.currency,
    reward_points.redeemable,
    reward_points.redeem_ranking
from programme.reward_points as reward_points
inner join request
    on reward_points.version = request.version

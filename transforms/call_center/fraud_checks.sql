-- The fraud score of each version of an order landed as submitted, and whether it holds the order.
-- grain: order_id, checked_on
-- why: more than the minimum holds: 30 + 20 = 50 at minimum 50 does not, 51 does.
with

checks as (
    select
        order_id,
        checked_on,
        version
    from call_center._fraud_orders
),

matches as (
    select
        order_id,
        checked_on,
        score
    from call_center._new_fraud_matches
),

rules as (
    select
        version,
        minimum_score
    from programme.call_center
),

sums as (
    select
        checks.order_id,
        checks.checked_on,
        checks.version,
        coalesce(sum(matches.score), 0) as score
    from checks
    left join matches
        on checks.order_id = matches.order_id
        and checks.checked_on = matches.checked_on
    group by
        checks.order_id,
        checks.checked_on,
        checks.version
)

select
    sums.order_id,
    sums.checked_on,
    sums.score,
    sums.score > rules.minimum_score as held
from sums
inner join rules
    on sums.version = rules.version

-- Points that go unused within 30, 60 and 90 days unless they are redeemed.
-- grain: card_id, program_id, reward_point_id
-- why: members are reminded in time. 60 days hold the 30, 90 the 60. What expires with the night is gone by morning and is
-- left out, unlike in loyalty.balances, which are as of the night. What cannot be used yet stands by itself, because nobody
-- can be asked to use it today.
with

lots as (
    select
        card_id,
        program_id,
        reward_point_id,
        usable_from <= $business_date as usable,
        expires_on,
        expires_on - $business_date as days_left,
        points - taken as remaining
    from loyalty.open_lots
    where expires_on between $business_date + 1 and $business_date + 90
)

select
    card_id,
    program_id,
    reward_point_id,
    $business_date as as_of,
    min(expires_on) as next_expiry,
    cast(coalesce(sum(remaining) filter (where usable and days_left <= 30), 0) as decimal(18, 2)) as expiring_30d,
    cast(coalesce(sum(remaining) filter (where usable and days_left <= 60), 0) as decimal(18, 2)) as expiring_60d,
    cast(coalesce(sum(remaining) filter (where usable), 0) as decimal(18, 2)) as expiring_90d,
    cast(coalesce(sum(remaining) filter (where not usable), 0) as decimal(18, 2)) as unvested_90d
from lots
group by
    card_id,
    program_id,
    reward_point_id

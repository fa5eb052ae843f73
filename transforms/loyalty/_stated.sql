-- What the next night would go on from, of each card: its open lots and totals as the states and the postings since then
-- say, as one number that two ways of working them out have in common.
-- grain: card_id
with

parts as (
    select
        card_id,
        hash(lot_id, usable_from, expires_on, cast(points - taken as decimal(18, 2))) as part
    from loyalty.open_lots

    union all

    select
        card_id,
        hash(program_id, reward_point_id, issued, used, expired, written_off) as part
    from loyalty.balances
    where
        issued <> 0
        or used <> 0
        or expired <> 0
        or written_off <> 0
)

select
    card_id,
    sum(part) as digest
from parts
group by card_id

-- 1. Every balance is the sum of its entries, and of its lots less its deficit; its columns add up.
-- why: what corrections took back whole may have no balance, which is as good as one of nothing.
with

entries as (
    select
        card_id,
        program_id,
        reward_point_id,
        sum(points) as points
    from loyalty.entries
    group by
        card_id,
        program_id,
        reward_point_id
),

lots as (
    select
        card_id,
        program_id,
        reward_point_id,
        sum(remaining) as remaining
    from loyalty.lots
    group by
        card_id,
        program_id,
        reward_point_id
)

select
    coalesce(entries.card_id, balances.card_id, lots.card_id) as card_id,
    coalesce(entries.program_id, balances.program_id, lots.program_id) as program_id,
    coalesce(entries.reward_point_id, balances.reward_point_id, lots.reward_point_id) as reward_point_id,
    coalesce(entries.points, 0) as of_entries,
    coalesce(lots.remaining, 0) - coalesce(balances.deficit, 0) as of_lots,
    coalesce(balances.issued + balances.written_off - balances.used - balances.expired, 0) as of_columns,
    coalesce(balances.available + balances.unvested, 0) as of_balance
from entries
full outer join loyalty.balances as balances
    on entries.card_id = balances.card_id
    and entries.program_id = balances.program_id
    and entries.reward_point_id = balances.reward_point_id
full outer join lots
    on entries.card_id = lots.card_id
    and entries.program_id = lots.program_id
    and entries.reward_point_id = lots.reward_point_id
where
    coalesce(entries.points, 0) <> coalesce(lots.remaining, 0) - coalesce(balances.deficit, 0)
    or coalesce(entries.points, 0) <> coalesce(balances.available + balances.unvested, 0)
    or coalesce(entries.points, 0)
    <> coalesce(balances.issued + balances.written_off - balances.used - balances.expired, 0)
    or balances.deficit < 0

-- 1. Every balance is the sum of its entries, and of its lots less its deficit; its columns add up.
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
    entries.card_id,
    entries.program_id,
    entries.reward_point_id,
    entries.points as of_entries,
    coalesce(lots.remaining, 0) - balances.deficit as of_lots,
    balances.issued + balances.written_off - balances.used - balances.expired as of_columns,
    balances.available + balances.unvested as of_balance
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
    entries.points is distinct from coalesce(lots.remaining, 0) - balances.deficit
    or entries.points is distinct from balances.available + balances.unvested
    or entries.points is distinct from balances.issued + balances.written_off - balances.used - balances.expired
    or balances.deficit < 0

-- Deficits of the accounts that go on from where they stood: what entries say less what lots hold.
-- grain: card_id, program_id, reward_point_id
with

cards as (
    select
        card_id,
        account_id
    from loyalty._scope_cards
    where not again
),

balances as (
    select
        entries.card_id,
        entries.program_id,
        entries.reward_point_id,
        cards.account_id,
        cast(sum(entries.points) * 100 as bigint) as points_h
    from loyalty.entries as entries
    inner join cards
        on entries.card_id = cards.card_id
    group by
        entries.card_id,
        entries.program_id,
        entries.reward_point_id,
        cards.account_id
),

held as (
    select
        card_id,
        program_id,
        reward_point_id,
        sum(remaining_h) as remaining_h
    from loyalty._open_lots
    group by
        card_id,
        program_id,
        reward_point_id
)

select
    balances.account_id,
    balances.card_id,
    balances.program_id,
    balances.reward_point_id,
    cast(coalesce(held.remaining_h, 0) - balances.points_h as bigint) as deficit_h
from balances
left join held
    on balances.card_id = held.card_id
    and balances.program_id = held.program_id
    and balances.reward_point_id = held.reward_point_id
where coalesce(held.remaining_h, 0) > balances.points_h

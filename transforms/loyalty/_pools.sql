-- Numbers for the kernel: each card, program and reward point of tonight's accounts, those one card of a customer may draw on together side by side.
-- grain: pool
with

pools as (
    select
        account_id,
        program_id,
        reward_point_id,
        card_id
    from loyalty._events

    union

    select
        account_id,
        program_id,
        reward_point_id,
        card_id
    from loyalty._open_lots

    union

    select
        account_id,
        program_id,
        reward_point_id,
        card_id
    from loyalty._open_deficits
),

numbered as (
    select
        account_id,
        program_id,
        reward_point_id,
        card_id,
        row_number() over (order by account_id, program_id, reward_point_id, card_id) - 1 as pool,
        dense_rank() over (order by account_id) as account_no
    from pools
)

select
    pool,
    account_no,
    account_id,
    program_id,
    reward_point_id,
    card_id,
    min(pool) over (partition by account_id, program_id, reward_point_id) as group_first,
    max(pool) over (partition by account_id, program_id, reward_point_id) as group_last
from numbered

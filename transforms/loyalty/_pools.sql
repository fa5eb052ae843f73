-- Numbers for the kernel: each card, program and reward point of tonight's accounts, those one card may ever draw on together
-- side by side; party: whose the card is when the fold begins.
-- grain: pool
-- why: an account worked out again begins with its first customer, one that goes on with today's.
with

pools as (
    select
        program_id,
        reward_point_id,
        card_id
    from loyalty._events

    union

    select
        program_id,
        reward_point_id,
        card_id
    from loyalty._moves

    union

    select
        program_id,
        reward_point_id,
        other_card_id as card_id
    from loyalty._moves
    where other_card_id is not null

    union

    select
        program_id,
        reward_point_id,
        card_id
    from loyalty._open_lots

    union

    select
        program_id,
        reward_point_id,
        card_id
    from loyalty._open_deficits
),

owned as (
    select
        program_id,
        reward_point_id,
        card_id
    from pools

    union

    select
        pools.program_id,
        pools.reward_point_id,
        replaced.owner_card_id as card_id
    from pools
    inner join loyalty._replaced as replaced
        on pools.card_id = replaced.card_id
),

numbered as (
    select
        scope.account_id,
        scope.circle_id,
        owned.program_id,
        owned.reward_point_id,
        owned.card_id,
        scope.again,
        row_number() over (
            order by scope.account_id, scope.circle_id, owned.program_id, owned.reward_point_id, owned.card_id
        ) - 1 as pool,
        dense_rank() over (order by scope.account_id) as account_no
    from owned
    inner join loyalty._scope_cards as scope
        on owned.card_id = scope.card_id
)

select
    numbered.pool,
    numbered.account_no,
    numbered.account_id,
    numbered.again,
    numbered.program_id,
    numbered.reward_point_id,
    numbered.card_id,
    min(numbered.pool) over shared as group_first,
    max(numbered.pool) over shared as group_last,
    coalesce(parties.party, -1) as party
from numbered
left join loyalty._cards as cards
    on numbered.card_id = cards.card_id
    and (
        numbered.again
        and cards.valid_from = date '0001-01-01'
        or not numbered.again
        and cards.valid_to = date '9999-12-31'
    )
left join loyalty._parties as parties
    on cards.customer_id = parties.customer_id
window shared as (
    partition by numbered.account_id, numbered.circle_id, numbered.program_id, numbered.reward_point_id
)

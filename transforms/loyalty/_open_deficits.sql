-- Deficits of the accounts that go on from where they stood.
-- grain: card_id, program_id, reward_point_id
select
    cards.account_id,
    balances.card_id,
    balances.program_id,
    balances.reward_point_id,
    cast(balances.deficit * 100 as bigint) as deficit_h
from loyalty._balances_carried as balances
inner join loyalty._scope_cards as cards
    on balances.card_id = cards.card_id
where
    not cards.again
    and balances.deficit > 0

-- The slice each card's account is worked out in.
-- grain: card_id
select
    accounts.card_id,
    slices.slice
from loyalty._accounts as accounts
inner join loyalty._account_slices as slices
    on accounts.account_id = slices.account_id

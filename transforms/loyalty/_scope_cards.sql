-- The cards of the accounts that are worked out tonight.
-- grain: card_id
select
    accounts.card_id,
    accounts.account_id,
    accounts.circle_id,
    touched.again,
    touched.only_due
from loyalty._accounts as accounts
inner join loyalty._touched_accounts as touched
    on accounts.account_id = touched.account_id

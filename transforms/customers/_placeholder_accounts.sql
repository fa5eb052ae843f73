-- Accounts of the master that stand for nobody on the night's date: default customers of channels, and placeholders.
-- grain: account
-- why: the master keeps their record, because new customers inherit from it; no campaign may write to them.
with

accounts as (
    select distinct account
    from customers.customers
)

select accounts.account
from accounts
inner join sales._placeholders as placeholders
    on trim(accounts.account) = placeholders.exact_id
    and $business_date between placeholders.valid_from and placeholders.valid_to

union

select accounts.account
from accounts
inner join sales._placeholders as placeholders
    on case when ltrim(trim(accounts.account), '0') = '' then '0' else lower(trim(accounts.account)) end
    = placeholders.folded_id
    and $business_date between placeholders.valid_from and placeholders.valid_to

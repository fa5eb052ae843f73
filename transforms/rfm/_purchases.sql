-- Purchases of known customers, and returns where they count, as each due definition sees them.
-- grain: scope, transaction
-- why: the same for all dates of a definition. Each amount is rounded half-up to cents of the accounting currency
-- on its own; without a rate on or before the day it is empty: such a purchase counts, its money does not. Net and
-- gross are read apart, so that net, nearly always asked, reads one column alone and as it lies in the file.
with

scopes as (
    select
        scope,
        version,
        definition,
        accounting_currency,
        amount,
        subtract_returns,
        is_plain
    from rfm._scopes
),

plain_scopes as (
    select
        scope,
        amount,
        subtract_returns
    from scopes
    where is_plain
),

channel_days as (
    select
        scopes.scope,
        scopes.accounting_currency,
        scopes.amount,
        scopes.subtract_returns,
        channel_days.channel_id,
        channel_days.business_date
    from rfm._channel_days as channel_days
    inner join scopes
        on channel_days.version = scopes.version
        and channel_days.definition = scopes.definition
    where not scopes.is_plain
),

day_rates as (
    select
        currency,
        business_date,
        accounting_currency,
        rate
    from rfm._day_rates
),

looked_up as (
    select
        channel_days.scope,
        receipts.customer_id,
        receipts.business_date,
        receipts.posted_date,
        receipts.is_purchase,
        receipts.currency,
        channel_days.accounting_currency,
        -- no wider than it was: a sum of decimals is, and whatever is done with it then takes longer
        case
            when channel_days.amount = 'gross'
                then cast(receipts.net_amount + receipts.extra_amount as decimal(18, 2))
            else cast(receipts.net_amount as decimal(18, 2))
        end as amount
    from rfm._receipts as receipts
    inner join channel_days
        on receipts.channel_id = channel_days.channel_id
        and receipts.business_date = channel_days.business_date
    where
        receipts.is_purchase
        or channel_days.subtract_returns
)

select
    plain_scopes.scope,
    receipts.customer_id,
    receipts.business_date,
    receipts.posted_date,
    receipts.is_purchase,
    true as is_plain,
    receipts.net_amount as amount
from rfm._receipts as receipts
cross join plain_scopes
where
    plain_scopes.amount = 'net'
    and (receipts.is_purchase or plain_scopes.subtract_returns)

union all

select
    plain_scopes.scope,
    receipts.customer_id,
    receipts.business_date,
    receipts.posted_date,
    receipts.is_purchase,
    true as is_plain,
    cast(receipts.net_amount + receipts.extra_amount as decimal(18, 2)) as amount
from rfm._receipts as receipts
cross join plain_scopes
where
    plain_scopes.amount = 'gross'
    and (receipts.is_purchase or plain_scopes.subtract_returns)

union all

select
    looked_up.scope,
    looked_up.customer_id,
    looked_up.business_date,
    looked_up.posted_date,
    looked_up.is_purchase,
    false as is_plain,
    case
        when looked_up.currency = looked_up.accounting_currency then looked_up.amount
        when abs(cast(looked_up.amount as decimal(38, 2)) * day_rates.rate) < 1e15
            then cast(round(cast(looked_up.amount as decimal(38, 2)) * day_rates.rate, 2) as decimal(18, 2))
    end as amount
from looked_up
left join day_rates
    on looked_up.currency = day_rates.currency
    and looked_up.business_date = day_rates.business_date
    and looked_up.accounting_currency = day_rates.accounting_currency

-- What a due definition takes in, in one version: the same on all its dates.
-- grain: scope
-- why: a scope is plain where every receipt counts as it is, of all channels and in the accounting currency alone;
-- then nothing need be looked up for a receipt.
with

definitions as (
    select
        scope,
        version,
        definition,
        accounting_currency,
        amount,
        subtract_returns,
        -- cohorts and lifetimes begin with a customer's first purchase, however long ago
        case when bool_or(month_end) then date '0001-01-01' else min(period_start) end as first_day,
        max(period_end) as last_day,
        bool_or(history_months > 0) as keeps_history
    from rfm._runs
    group by
        scope,
        version,
        definition,
        accounting_currency,
        amount,
        subtract_returns
),

open_to_all as (
    select distinct
        version,
        definition
    from programme.rfm_channels
    where channel = 'all'
),

currencies as (
    select distinct currency
    from sales.transactions
),

foreign_sales as (
    select distinct definitions.scope
    from definitions
    inner join currencies
        on definitions.accounting_currency <> currencies.currency
)

select
    definitions.scope,
    definitions.version,
    definitions.definition,
    definitions.accounting_currency,
    definitions.amount,
    definitions.subtract_returns,
    definitions.first_day,
    definitions.last_day,
    open_to_all.definition is not null and foreign_sales.scope is null as is_plain,
    definitions.keeps_history
from definitions
left join open_to_all
    on definitions.version = open_to_all.version
    and definitions.definition = open_to_all.definition
left join foreign_sales
    on definitions.scope = foreign_sales.scope

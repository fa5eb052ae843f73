-- Purchases of known customers, and returns where they count, as each due definition sees them.
-- grain: scope, transaction
-- why: the same for all dates of a definition. Each amount is rounded half-up to cents of the accounting currency
-- on its own; without a rate on or before the day it is empty: such a purchase counts, its money does not.
with

definitions as (
    select distinct
        scope,
        version,
        definition,
        accounting_currency,
        amount,
        subtract_returns
    from rfm._runs
),

channel_days as (
    select
        definitions.scope,
        definitions.accounting_currency,
        definitions.amount,
        definitions.subtract_returns,
        channel_days.channel_id,
        channel_days.business_date
    from rfm._channel_days as channel_days
    inner join definitions
        on channel_days.version = definitions.version
        and channel_days.definition = definitions.definition
),

transactions as (
    select
        channel_id,
        business_date,
        posted_date,
        type <> 'return' as is_purchase,
        customer_id,
        case when customer_id is null then loyalty_card_id end as loyalty_card_id,
        currency,
        net_amount,
        coalesce(tax_amount, 0) + coalesce(charges_amount, 0) as extra_amount
    from sales.transactions
),

-- A card may stand in a row for each program; its customer belongs to the card.
cards as (
    select
        card_id,
        valid_from,
        valid_to,
        max(customer_id) as customer_id
    from reference.loyalty_cards
    group by
        card_id,
        valid_from,
        valid_to
),

day_rates as (
    select
        currency,
        business_date,
        accounting_currency,
        rate
    from rfm._day_rates
),

seen as (
    select
        channel_days.scope,
        coalesce(transactions.customer_id, cards.customer_id) as customer_id,
        transactions.business_date,
        transactions.posted_date,
        transactions.is_purchase,
        transactions.currency,
        channel_days.accounting_currency,
        -- no wider than it was: a sum of decimals is, and whatever is done with it then takes longer
        case
            when channel_days.amount = 'gross'
                then cast(transactions.net_amount + transactions.extra_amount as decimal(18, 2))
            else cast(transactions.net_amount as decimal(18, 2))
        end as amount
    from transactions
    inner join channel_days
        on transactions.channel_id = channel_days.channel_id
        and transactions.business_date = channel_days.business_date
    left join cards
        on transactions.loyalty_card_id = cards.card_id
        and transactions.business_date between cards.valid_from and cards.valid_to
    where
        transactions.is_purchase
        or channel_days.subtract_returns
)

select
    seen.scope,
    seen.customer_id,
    seen.business_date,
    seen.posted_date,
    seen.is_purchase,
    case
        when seen.currency = seen.accounting_currency then seen.amount
        else cast(round(seen.amount * day_rates.rate, 2) as decimal(18, 2))
    end as amount
from seen
left join day_rates
    on seen.currency = day_rates.currency
    and seen.business_date = day_rates.business_date
    and seen.accounting_currency = day_rates.accounting_currency
where seen.customer_id is not null

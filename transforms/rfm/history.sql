-- The orders that each analysis took in for the first time, with what each amount was made of.
-- grain: definition, as_of, transaction_id
-- why: kept only where the definition says so, for so many months, to see later what a score was made from. An order
-- that came late or was corrected stands under the date that took it in, so a night adds one date's orders.
with

runs as (
    select
        run,
        definition,
        version,
        as_of,
        period_start,
        period_end,
        accounting_currency,
        amount,
        subtract_returns,
        history_months,
        lag(as_of) over (partition by definition order by as_of) as run_before
    from rfm._runs
),

dates as (
    select
        definition,
        as_of
    from rfm._history_kept
    where not kept
),

known as (
    select
        definition,
        max(as_of) as as_of
    from rfm.history
    where as_of < (select min(as_of) from runs)
    group by definition
),

channel_days as (
    select
        version,
        definition,
        channel_id,
        business_date
    from rfm._channel_days
),

day_rates as (
    select
        currency,
        business_date,
        accounting_currency,
        rate
    from rfm._day_rates
),

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

transactions as (
    select
        transaction_id,
        channel_id,
        business_date,
        posted_date,
        type,
        customer_id,
        case when customer_id is null then loyalty_card_id end as loyalty_card_id,
        currency,
        net_amount,
        coalesce(tax_amount, 0) as tax_amount,
        coalesce(charges_amount, 0) as charges_amount
    from customers.receipts
),

new_ones as (
    select
        runs.definition,
        runs.as_of,
        transactions.transaction_id,
        coalesce(transactions.customer_id, cards.customer_id) as customer_id,
        transactions.business_date,
        transactions.channel_id,
        transactions.type,
        transactions.currency,
        transactions.net_amount,
        transactions.tax_amount,
        transactions.charges_amount,
        transactions.net_amount
        + case runs.amount when 'gross' then transactions.tax_amount + transactions.charges_amount else 0 end as amount,
        runs.accounting_currency
    from runs
    inner join dates
        on runs.definition = dates.definition
        and runs.as_of = dates.as_of
    left join known
        on runs.definition = known.definition
    inner join channel_days
        on runs.version = channel_days.version
        and runs.definition = channel_days.definition
    inner join transactions
        on channel_days.channel_id = transactions.channel_id
        and channel_days.business_date = transactions.business_date
        and transactions.business_date between runs.period_start and runs.period_end
        and transactions.posted_date <= runs.as_of
        and (
            transactions.posted_date > coalesce(runs.run_before, known.as_of)
            or coalesce(runs.run_before, known.as_of) is null
        )
    left join cards
        on transactions.loyalty_card_id = cards.card_id
        and transactions.business_date between cards.valid_from and cards.valid_to
    where
        runs.history_months > 0
        and (
            transactions.type <> 'return'
            or runs.subtract_returns
        )
)

select
    new_ones.definition,
    new_ones.as_of,
    new_ones.transaction_id,
    new_ones.customer_id,
    new_ones.business_date,
    new_ones.channel_id,
    new_ones.type,
    new_ones.currency,
    new_ones.net_amount,
    new_ones.tax_amount,
    new_ones.charges_amount,
    case
        when new_ones.currency = new_ones.accounting_currency then cast(new_ones.amount as decimal(18, 2))
        when abs(cast(new_ones.amount as decimal(38, 2)) * day_rates.rate) < 1e15
            then cast(round(cast(new_ones.amount as decimal(38, 2)) * day_rates.rate, 2) as decimal(18, 2))
    end as counted_amount
from new_ones
left join day_rates
    on new_ones.currency = day_rates.currency
    and new_ones.business_date = day_rates.business_date
    and new_ones.accounting_currency = day_rates.accounting_currency
where new_ones.customer_id is not null

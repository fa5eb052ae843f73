-- The rate from each other currency to the accounting currency of a due definition, on each day with a sale.
-- grain: currency, business_date, accounting_currency
-- why: the newest rate on or before the day counts, as it was known on that day.
with

definitions as (
    select distinct accounting_currency
    from rfm._runs
),

sales_days as (
    select distinct
        currency,
        business_date
    from rfm._sales_days
),

rates as (
    select
        from_currency,
        to_currency,
        date,
        rate,
        valid_from,
        valid_to
    from reference.exchange_rates
),

currency_days as (
    select
        sales_days.currency,
        sales_days.business_date,
        definitions.accounting_currency
    from sales_days
    inner join definitions
        on sales_days.currency <> definitions.accounting_currency
),

rates_known as (
    select
        currency_days.currency,
        currency_days.business_date,
        currency_days.accounting_currency,
        rates.rate,
        row_number() over (
            partition by currency_days.currency, currency_days.business_date, currency_days.accounting_currency
            order by rates.date desc, rates.valid_from desc, rates.rate desc
        ) as newest
    from currency_days
    inner join rates
        on currency_days.currency = rates.from_currency
        and currency_days.accounting_currency = rates.to_currency
        and currency_days.business_date >= rates.date
        and currency_days.business_date between rates.valid_from and rates.valid_to
)

select
    currency,
    business_date,
    accounting_currency,
    rate
from rates_known
where newest = 1

-- What one unit of the accounting currency, in which item costs are, is in each currency, at the newest rate.
-- grain: currency
with

rates as (
    select
        from_currency,
        to_currency,
        date,
        rate
    from reference.exchange_rates
    where
        date <= $business_date
        and $business_date between valid_from and valid_to
),

accounting as (
    select accounting_currency
    from programme.parameters
    qualify row_number() over (order by version desc) = 1
),

newest as (
    select
        rates.to_currency as currency,
        rates.rate
    from rates
    inner join accounting
        on rates.from_currency = accounting.accounting_currency
    where rates.to_currency <> accounting.accounting_currency
    qualify row_number() over (partition by rates.to_currency order by rates.date desc) = 1
)

select
    accounting_currency as currency,
    cast(1 as decimal(18, 8)) as rate
from accounting

union all

select
    currency,
    rate
from newest

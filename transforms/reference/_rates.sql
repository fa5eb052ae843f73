-- The newest rate of each currency into the accounting currency and out of it; the accounting currency's own are 1.
-- grain: currency
-- why: item costs are in the accounting currency and go into that of an order, what catalogs brought comes out of it.
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
        rates.from_currency,
        rates.to_currency,
        rates.rate,
        accounting.accounting_currency
    from rates
    inner join accounting
        on accounting.accounting_currency in (rates.from_currency, rates.to_currency)
    where rates.from_currency <> rates.to_currency
    qualify row_number() over (partition by rates.from_currency, rates.to_currency order by rates.date desc) = 1
)

select
    accounting_currency as currency,
    cast(1 as decimal(18, 8)) as into_accounting,
    cast(1 as decimal(18, 8)) as out_of_accounting
from accounting

union all

select
    case when from_currency = accounting_currency then to_currency else from_currency end as currency,
    max(case when to_currency = accounting_currency then rate end) as into_accounting,
    max(case when from_currency = accounting_currency then rate end) as out_of_accounting
from newest
group by case when from_currency = accounting_currency then to_currency else from_currency end

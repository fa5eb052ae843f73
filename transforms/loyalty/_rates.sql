-- The exchange rate of each currency pair and business date: the newest dated on or before it.
-- grain: from_currency, to_currency, business_date
with

pairs as (
    select distinct
        documents.currency as from_currency,
        rules.currency as to_currency,
        documents.business_date
    from loyalty._documents as documents
    inner join (
        select
            version,
            currency
        from programme.earning_rules

        union

        select
            version,
            currency
        from programme.redemption_rules
    ) as rules
        on documents.version = rules.version
    where documents.currency <> rules.currency
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
)

select
    pairs.from_currency,
    pairs.to_currency,
    pairs.business_date,
    rates.rate
from pairs
inner join rates
    on pairs.from_currency = rates.from_currency
    and pairs.to_currency = rates.to_currency
    and rates.date <= pairs.business_date
    and pairs.business_date between rates.valid_from and rates.valid_to
qualify row_number() over (
    partition by pairs.from_currency, pairs.to_currency, pairs.business_date
    order by rates.date desc
) = 1

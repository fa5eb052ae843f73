-- Exchange rates as each business date sees them.
-- grain: from_currency, to_currency, date, valid_from, and the rows of that version
-- why: a fact of a day sees the newest record of that day or before, else the first one there is; the newest
-- drop's version of a key replaces all its rows.
with

rows_landed as (
    select *
    from landed.exchange_rates
    where drop_date <= $business_date
),

drops as (
    select distinct
        from_currency,
        to_currency,
        date,
        drop_date,
        drop_id
    from rows_landed
),

versions as (
    select
        from_currency,
        to_currency,
        date,
        drop_date,
        drop_id,
        case
            when row_number() over (partition by from_currency, to_currency, date order by drop_date, drop_id) = 1 then date '0001-01-01'
            else drop_date
        end as valid_from,
        coalesce(
            lead(drop_date) over (partition by from_currency, to_currency, date order by drop_date, drop_id) - 1,
            date '9999-12-31'
        ) as valid_to
    from drops
)

select
    rows_landed.from_currency,
    rows_landed.to_currency,
    rows_landed.date,
    rows_landed.rate,
    versions.valid_from,
    versions.valid_to
from rows_landed
inner join versions
    on rows_landed.from_currency = versions.from_currency and rows_landed.to_currency = versions.to_currency and rows_landed.date = versions.date
    and rows_landed.drop_id = versions.drop_id
where versions.valid_from <= versions.valid_to

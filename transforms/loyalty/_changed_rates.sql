-- Exchange rates that tonight's drops give otherwise than was known, and the business dates that see it.
-- grain: from_currency, to_currency, date, valid_from
with

landed_rows as (
    select
        from_currency,
        to_currency,
        date,
        rate as content,
        drop_date,
        drop_id,
        seq
    from landed.exchange_rates
    where drop_date <= $business_date
),

compared as (
    select
        from_currency,
        to_currency,
        date,
        content,
        drop_date,
        drop_id,
        seq,
        lag(content) over following as content_before,
        lag(drop_date) over following as drop_before,
        lead(content) over following as content_after,
        lead(drop_date) over following as drop_after
    from landed_rows
    window following as (partition by from_currency, to_currency, date order by drop_date, drop_id)
)

select
    from_currency,
    to_currency,
    date,
    case when drop_before is null then date '0001-01-01' else drop_date end as valid_from,
    coalesce(drop_after - 1, date '9999-12-31') as valid_to
from compared
where
    (seq > $since or drop_date > $since_date)
    and case
        when drop_before is not null then content is distinct from content_before
        else drop_after is null or content is distinct from content_after
    end

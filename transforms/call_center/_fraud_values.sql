-- Values known to be bad, normalized, with the days on which they count: head office's and the programme's.
-- grain: type, value, origin, first_day
-- why: a record counts from its drop's date on, the first of a key from the beginning; a missing score is its type's.
with

landed_values as (
    select
        type,
        value,
        score,
        active,
        drop_date,
        drop_id
    from landed.fraud_static
    where drop_date <= $business_date
),

dated as (
    select
        'hq' as origin,
        type,
        value,
        score,
        active,
        case
            when row_number() over (partition by type, value order by drop_date, drop_id) = 1 then date '0001-01-01'
            else drop_date
        end as first_day,
        coalesce(
            lead(drop_date) over (partition by type, value order by drop_date, drop_id) - 1, date '9999-12-31'
        ) as last_day
    from landed_values
),

rules as (
    select
        version,
        first_day,
        last_day
    from call_center._programme
),

stated as (
    select
        type,
        value,
        score,
        version
    from programme.fraud_static
),

entries as (
    select
        origin,
        type,
        value,
        score,
        first_day,
        last_day
    from dated
    where
        active
        and first_day <= last_day

    union all

    select
        'programme' as origin,
        stated.type,
        stated.value,
        stated.score,
        rules.first_day,
        rules.last_day
    from stated
    inner join rules
        on stated.version = rules.version
)

select
    origin,
    type,
    case type
        when 'phone' then regexp_replace(regexp_replace(value, '[^0-9]', '', 'g'), '^00', '')
        when 'email' then lower(trim(value))
        when 'zip' then upper(split_part(replace(value, ' ', ''), '-', 1))
        else upper(replace(value, ' ', ''))
    end as value,
    score,
    first_day,
    last_day
from entries

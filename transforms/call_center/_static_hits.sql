-- Values of checked orders that are known to be bad: each once, where it stands first.
-- grain: order_id, checked_on, type, value
with

checks as (
    select
        order_id,
        drop_id,
        checked_on,
        version
    from call_center._fraud_orders
),

addresses as (
    select *
    from call_center._addresses
    where drop_date in (select checked_on from call_center._fraud_days)
),

parts as (
    select
        order_id,
        drop_id,
        area,
        line_no,
        type,
        value
    from (
        select
            order_id,
            drop_id,
            area,
            line_no,
            unnest(['phone', 'email', 'zip', 'extended_zip']) as type,
            unnest([phone, email, zip, extended_zip]) as value
        from addresses
    ) as unpivoted
    where value <> ''
),

listed as (
    select
        type,
        value,
        score,
        first_day,
        last_day
    from call_center._fraud_values
),

scores as (
    select
        version,
        score_phone,
        score_email,
        score_zip,
        score_extended_zip
    from programme.call_center
)

select
    checks.order_id,
    checks.checked_on,
    parts.area,
    parts.line_no,
    parts.type,
    'static' as rule,
    coalesce(
        listed.score,
        case parts.type
            when 'phone' then scores.score_phone
            when 'email' then scores.score_email
            when 'zip' then scores.score_zip
            else scores.score_extended_zip
        end
    ) as score
from checks
inner join parts
    on checks.order_id = parts.order_id
    and checks.drop_id = parts.drop_id
inner join listed
    on parts.type = listed.type
    and parts.value = listed.value
    and checks.checked_on between listed.first_day and listed.last_day
inner join scores
    on checks.version = scores.version
qualify row_number() over (
    partition by checks.order_id, checks.checked_on, parts.type, parts.value
    order by
        coalesce(
            listed.score,
            case parts.type
                when 'phone' then scores.score_phone
                when 'email' then scores.score_email
                when 'zip' then scores.score_zip
                else scores.score_extended_zip
            end
        ) desc,
        parts.area,
        parts.line_no nulls first
) = 1

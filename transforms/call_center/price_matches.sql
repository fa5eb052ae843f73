-- What a customer gets back because the same was cheaper elsewhere, once the order is invoiced.
-- grain: match_id
-- why: all credits of an order together stay within the limit, the earliest first.
with

matches as (
    select
        match_id,
        order_id,
        line_no,
        new_price,
        reason_code,
        date
    from landed.price_matches
    where
        drop_date <= $business_date
        and order_id in (select order_id from call_center._scope)
    qualify row_number() over (partition by match_id order by drop_date desc, drop_id desc) = 1
),

orders as (
    select
        order_id,
        status,
        version
    from call_center._orders
),

lines as (
    select
        order_id,
        line_no,
        quantity,
        unit_price
    from call_center._lines
    where kind = 'sale'
),

limits as (
    select
        version,
        max_order_credit
    from programme.call_center
),

wanted as (
    select
        matches.match_id,
        matches.order_id,
        matches.line_no,
        matches.reason_code,
        matches.date,
        limits.max_order_credit,
        case
            when orders.status <> 'invoiced' or orders.order_id is null then 'not_invoiced'
            when lines.order_id is null then 'unknown_line'
            when lines.unit_price <= matches.new_price then 'not_lower'
        end as refused,
        cast(
            round((cast(lines.unit_price as decimal(38, 4)) - matches.new_price) * lines.quantity, 2) as decimal(18, 2)
        ) as difference
    from matches
    left join orders
        on matches.order_id = orders.order_id
    left join lines
        on matches.order_id = lines.order_id
        and matches.line_no = lines.line_no
    left join limits
        on orders.version = limits.version
),

running as (
    select
        *,
        case when refused is null then difference else 0 end as credit_wanted,
        sum(case when refused is null then difference else 0 end) over (
            partition by order_id
            order by date, match_id
            rows between unbounded preceding and current row
        ) as up_to_here
    from wanted
),

granted as (
    select
        *,
        case
            when max_order_credit is null then credit_wanted
            else least(up_to_here, max_order_credit) - least(up_to_here - credit_wanted, max_order_credit)
        end as credit
    from running
)

select
    match_id,
    order_id,
    line_no,
    date,
    credit,
    case
        when refused is not null then refused
        when credit < credit_wanted then 'limited'
        else coalesce(reason_code, 'granted')
    end as reason
from granted

-- Delivery charges as the programme has them beside what each order was charged.
-- grain: order_id
-- why: at the header by the order's mode and the net of its sale lines, at the line by its own; all that apply add up.
with

orders as (
    select
        order_id,
        delivery_mode,
        charges_amount,
        version
    from call_center._orders
),

lines as (
    select
        order_id,
        line_no,
        delivery_mode,
        net_amount
    from call_center._lines
    where kind = 'sale'
),

bases as (
    select
        orders.order_id,
        orders.version,
        'header' as level,
        0 as line_no,
        orders.delivery_mode as mode,
        sum(lines.net_amount) as base
    from orders
    inner join lines
        on orders.order_id = lines.order_id
    group by
        orders.order_id,
        orders.version,
        orders.delivery_mode

    union all

    select
        orders.order_id,
        orders.version,
        'line' as level,
        lines.line_no,
        lines.delivery_mode as mode,
        lines.net_amount as base
    from orders
    inner join lines
        on orders.order_id = lines.order_id
),

expected as (
    select
        bases.order_id,
        bases.level,
        sum(
            coalesce(
                charges.amount,
                cast(round(cast(bases.base as decimal(38, 2)) * charges.percent * 0.01, 2) as decimal(18, 2))
            )
        ) as amount
    from bases
    inner join programme.delivery_charges as charges
        on bases.version = charges.version
        and bases.level = charges.level
        and bases.mode = charges.mode
        and bases.base >= charges.from_amount
        and (charges.to_amount is null or bases.base < charges.to_amount)
    group by
        bases.order_id,
        bases.level
),

sums as (
    select
        order_id,
        coalesce(sum(amount) filter (level = 'header'), 0) as header_expected,
        coalesce(sum(amount) filter (level = 'line'), 0) as lines_expected
    from expected
    group by order_id
)

select
    orders.order_id,
    coalesce(sums.header_expected, 0) as header_expected,
    coalesce(sums.lines_expected, 0) as lines_expected,
    orders.charges_amount as charged,
    orders.charges_amount - coalesce(sums.header_expected, 0) - coalesce(sums.lines_expected, 0) as difference
from orders
left join sums
    on orders.order_id = sums.order_id

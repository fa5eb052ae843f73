-- Prices that operators changed against the floor of their role, and the margin of every sale line.
-- grain: order_id, line_no
-- why: the operator's mildest role counts; 0 % is no floor, and who has no role may change none. Without a cost nothing
-- is said. Cost 100 at 5 %: 104.99 is flagged, 105.00 is fine.
with

orders as (
    select
        order_id,
        operator_id,
        currency,
        version
    from call_center._orders
),

rates as (
    select
        currency,
        out_of_accounting as rate
    from reference._rates
),

rules as (
    select
        version,
        overrides_judged,
        acceptable_margin,
        questionable_margin
    from programme.call_center
),

lines as (
    select
        lines.order_id,
        lines.line_no,
        lines.quantity,
        lines.unit_price,
        lines.net_amount,
        lines.price_overridden,
        lines.cost_price as line_cost,
        case
            when abs(cast(lines.item_cost as decimal(38, 4)) * rates.rate) < 1e13
                then cast(cast(lines.item_cost as decimal(38, 4)) * rates.rate as decimal(18, 4))
        end as item_cost,
        orders.operator_id,
        orders.version,
        rules.overrides_judged,
        rules.acceptable_margin,
        rules.questionable_margin
    from call_center._lines as lines
    inner join orders
        on lines.order_id = orders.order_id
    inner join rules
        on orders.version = rules.version
    left join rates
        on orders.currency = rates.currency
    where lines.kind = 'sale'
),

roles as (
    select distinct
        operator_id,
        role
    from landed.operator_roles
    where drop_date <= $business_date
),

allowed as (
    select
        overrides.version,
        roles.operator_id,
        overrides.cost,
        min(overrides.markup_percent) as markup_percent
    from programme.price_overrides as overrides
    inner join roles
        on overrides.role = roles.role
    group by
        overrides.version,
        roles.operator_id,
        overrides.cost
),

floors as (
    select
        lines.order_id,
        lines.line_no,
        bool_or(allowed.markup_percent = 0) as no_floor,
        count(allowed.operator_id) > 0 as has_role,
        min(
            cast(
                case allowed.cost when 'item' then lines.item_cost else lines.line_cost end as decimal(38, 4)
            ) * (100 + allowed.markup_percent) * 0.01
        ) as lowest
    from lines
    left join allowed
        on lines.version = allowed.version
        and lines.operator_id = allowed.operator_id
    where
        lines.price_overridden
        and lines.overrides_judged
    group by
        lines.order_id,
        lines.line_no
),

costed as (
    select
        lines.*,
        coalesce(lines.item_cost, lines.line_cost) as cost,
        floors.order_id is not null as judged,
        floors.no_floor,
        floors.has_role,
        case when not floors.no_floor then floors.lowest end as lowest
    from lines
    left join floors
        on lines.order_id = floors.order_id
        and lines.line_no = floors.line_no
),

margins as (
    select
        *,
        cast(net_amount as decimal(38, 2)) * 100 - cast(cost as decimal(38, 4)) * quantity * 100 as gained,
        cast(cost as decimal(38, 4)) * quantity as spent
    from costed
)

select
    order_id,
    line_no,
    cost,
    cast(lowest as decimal(18, 4)) as floor,
    case
        when not judged then null
        when not has_role then 'flagged'
        when no_floor then 'ok'
        when unit_price < lowest then 'flagged'
        when lowest is not null then 'ok'
    end as override,
    case when spent > 0 then cast(round(gained / spent, 2) as decimal(18, 2)) end as margin_percent,
    case
        when spent is null or spent <= 0 or acceptable_margin is null then null
        when gained >= spent * acceptable_margin then 'ok'
        when gained >= spent * questionable_margin then 'warning'
        else 'blocked'
    end as margin
from margins

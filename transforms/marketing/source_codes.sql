-- What each source code brought, in the accounting currency, beside what was projected.
-- grain: source_code
-- why: contribution = invoiced revenue − returns − cost; response rate = orders / distribution.
with

source_codes as (
    select *
    from call_center._source_codes
),

orders as (
    select
        orders.source_code,
        count(*) as orders
    from call_center._orders as orders
    where
        orders.status in ('submitted', 'invoiced')
        and orders.order_id in (
            select order_id
            from call_center._lines
            where kind <> 'return'
        )
    group by orders.source_code
),

sums as (
    select
        source_code,
        coalesce(sum(net_amount) filter (kind = 'sale'), 0) as revenue,
        -coalesce(sum(net_amount) filter (kind = 'return'), 0) as returns
    from marketing._order_lines
    group by source_code
),

figures as (
    select
        source_codes.source_code,
        coalesce(orders.orders, 0) as orders,
        coalesce(sums.revenue, 0) as revenue,
        coalesce(sums.returns, 0) as returns,
        source_codes.cost,
        coalesce(sums.revenue, 0) - coalesce(sums.returns, 0) - source_codes.cost as contribution,
        cast(
            cast(coalesce(orders.orders, 0) as decimal(18, 6)) / nullif(source_codes.distribution_quantity, 0)
            as decimal(18, 6)
        ) as response_rate,
        source_codes.projected_orders,
        source_codes.projected_sales,
        source_codes.projected_sales - source_codes.cost as projected_contribution,
        cast(
            cast(source_codes.projected_orders as decimal(18, 6)) / nullif(source_codes.distribution_quantity, 0)
            as decimal(18, 6)
        ) as projected_response_rate
    from source_codes
    left join orders
        on source_codes.source_code = orders.source_code
    left join sums
        on source_codes.source_code = sums.source_code
)

select
    source_code,
    orders,
    revenue,
    returns,
    cost,
    contribution,
    response_rate,
    json_object(
        'orders', orders - projected_orders,
        'revenue', revenue - projected_sales,
        'contribution', contribution - projected_contribution,
        'response_rate', response_rate - projected_response_rate
    ) as deviations
from figures

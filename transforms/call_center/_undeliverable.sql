-- Orders with a line that its delivery mode cannot bring: by channel, category or destination.
-- grain: order_id
-- why: the line's mode, else the order's; a mode without record is not restricted.
with

orders as (
    select
        order_id,
        drop_id,
        call_center_id
    from call_center._orders
),

lines as (
    select
        order_id,
        line_no,
        category_id,
        delivery_mode
    from call_center._lines
    where kind <> 'return'
),

modes as (
    select
        mode,
        channels,
        excluded_categories,
        excluded_countries
    from call_center._delivery_modes
),

paths as (
    select
        category_id,
        list(ancestor_id) as ancestors
    from call_center._category_paths
    group by category_id
),

addresses as (
    select
        order_id,
        drop_id,
        line_no,
        country
    from call_center._addresses
    where area = 'delivery'
)

select distinct lines.order_id
from lines
inner join orders
    on lines.order_id = orders.order_id
inner join modes
    on lines.delivery_mode = modes.mode
left join paths
    on lines.category_id = paths.category_id
left join addresses as line_addresses
    on lines.order_id = line_addresses.order_id
    and orders.drop_id = line_addresses.drop_id
    and lines.line_no = line_addresses.line_no
left join addresses as header_addresses
    on lines.order_id = header_addresses.order_id
    and orders.drop_id = header_addresses.drop_id
    and header_addresses.line_no is null
where
    not list_contains(modes.channels, orders.call_center_id)
    or list_has_any(modes.excluded_categories, coalesce(paths.ancestors, [lines.category_id]))
    or list_contains(
        modes.excluded_countries,
        coalesce(line_addresses.country, header_addresses.country)
    )

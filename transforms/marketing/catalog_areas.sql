-- What each product's area on a catalog page cost and brought, in the accounting currency.
-- grain: catalog_id, page, product_id
-- why: sales of a product on several pages are split by what its areas cost, to the cent: the shares add up. 1000 × 25 %
-- and sales of 900: 250 and 650.
with

items as (
    select
        catalog_id,
        page,
        product_id,
        coalesce(percent_of_page, 0) as percent_of_page
    from landed.catalog_items
    where drop_date <= $business_date
    qualify row_number() over (
        partition by catalog_id, page, product_id
        order by drop_date desc, drop_id desc
    ) = 1
),

pages as (
    select
        catalog_id,
        page,
        coalesce(page_cost, 0) as page_cost
    from landed.catalog_pages
    where drop_date <= $business_date
    qualify row_number() over (partition by catalog_id, page order by drop_date desc, drop_id desc) = 1
),

sold as (
    select
        catalog_id,
        product_id,
        sum(net_amount) as sales
    from marketing._order_lines
    where kind = 'sale'
    group by
        catalog_id,
        product_id
),

areas as (
    select
        items.catalog_id,
        items.page,
        items.product_id,
        cast(
            round(cast(coalesce(pages.page_cost, 0) as decimal(38, 2)) * items.percent_of_page * 0.01, 2)
            as decimal(18, 2)
        ) as space_cost,
        sum(items.percent_of_page) over (partition by items.catalog_id, items.page) > 100 as over_full
    from items
    left join pages
        on items.catalog_id = pages.catalog_id
        and items.page = pages.page
),

weighted as (
    select
        *,
        case
            when sum(space_cost) over (partition by catalog_id, product_id) = 0 then 1 else space_cost
        end as weight
    from areas
),

running as (
    select
        *,
        sum(weight) over (
            partition by catalog_id, product_id
            order by page
            rows between unbounded preceding and current row
        ) as up_to_here,
        sum(weight) over (partition by catalog_id, product_id) as whole
    from weighted
),

shared as (
    select
        running.*,
        cast(
            round(cast(coalesce(sold.sales, 0) as decimal(38, 2)) * running.up_to_here / running.whole, 2)
            as decimal(18, 2)
        ) - cast(
            round(
                cast(coalesce(sold.sales, 0) as decimal(38, 2)) * (running.up_to_here - running.weight)
                / running.whole,
                2
            ) as decimal(18, 2)
        ) as sales
    from running
    left join sold
        on running.catalog_id = sold.catalog_id
        and running.product_id = sold.product_id
)

select
    catalog_id,
    page,
    product_id,
    space_cost,
    sales,
    sales - space_cost as contribution,
    case when over_full then 'page_over_100' end as flags
from shared

-- Each category with all that stand above it, itself included, by the newest records.
-- grain: category_id, ancestor_id
with recursive

categories as (
    select
        category_id,
        parent_id
    from landed.categories
    where drop_date <= $business_date
    qualify row_number() over (partition by category_id order by drop_date desc, drop_id desc) = 1
),

paths as (
    select
        category_id,
        category_id as ancestor_id,
        parent_id,
        0 as steps
    from categories

    union all

    select
        paths.category_id,
        categories.category_id as ancestor_id,
        categories.parent_id,
        paths.steps + 1 as steps
    from paths
    inner join categories
        on paths.parent_id = categories.category_id
    where paths.steps < 32
)

select distinct
    category_id,
    ancestor_id
from paths

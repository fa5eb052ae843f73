-- Each category with all that stand above it, itself included, by the business dates that see it so.
-- grain: category_id, ancestor_id, valid_from
with recursive

categories as (
    select
        category_id,
        parent_id,
        valid_from,
        valid_to
    from reference.categories
),

paths as (
    select
        category_id,
        category_id as ancestor_id,
        parent_id,
        valid_from,
        valid_to,
        0 as steps
    from categories

    union all

    select
        paths.category_id,
        categories.category_id as ancestor_id,
        categories.parent_id,
        greatest(paths.valid_from, categories.valid_from) as valid_from,
        least(paths.valid_to, categories.valid_to) as valid_to,
        paths.steps + 1 as steps
    from paths
    inner join categories
        on paths.parent_id = categories.category_id
        and paths.valid_from <= categories.valid_to
        and categories.valid_from <= paths.valid_to
    where paths.steps < 32
)

select distinct
    category_id,
    ancestor_id,
    valid_from,
    valid_to
from paths

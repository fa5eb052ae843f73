-- Dataset categories, the same for every database: all as they hold on the opening day.
-- grain: category_id
with

request as (
    select opening_day
    from distribution._request
)

select
    categories.category_id,
    categories.parent_id,
    categories.name
from reference.categories as categories
inner join request
    on request.opening_day between categories.valid_from and categories.valid_to

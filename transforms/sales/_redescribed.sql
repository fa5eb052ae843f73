-- Counted transactions with a line whose product tonight's drops describe otherwise than it was known.
-- grain: document_id
-- why: a description that comes late makes the facts it concerns be worked out again.
with

described as (
    select distinct product_id
    from landed.products
    where drop_id in (select drop_id from sales._touched_drops)
)

select distinct lines.transaction_id as document_id
from sales.lines as lines
inner join described
    on lines.product_id = described.product_id
inner join sales._product_of_day as products
    on lines.product_id = products.product_id
    and lines.business_date between products.valid_from and products.valid_to
where
    lines.category_id is distinct from products.category_id
    or lines.eligible_points is distinct from products.eligible_points

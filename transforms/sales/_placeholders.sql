-- Ids that stand for no customer, and when: in these letters (exact_id), or in any (folded_id).
-- grain: exact_id, folded_id, valid_from
-- why: two columns, each joined by equality alone, so that a million ids cost no more than a hash of a few. Who reads an
-- id as a document or card writes it trims it, and folds it as the last select does: only zeros are one.
with

sets as (
    select
        customer_id,
        any_case,
        valid_from,
        valid_to,
        seq
    from sales.placeholder_customers
)

select
    case when not any_case then customer_id end as exact_id,
    case when any_case then customer_id end as folded_id,
    valid_from,
    valid_to
from sets
qualify seq = max(seq) over ()

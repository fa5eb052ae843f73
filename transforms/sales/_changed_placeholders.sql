-- Days on which an id stands for no customer now and did not when this was last worked out, or the other way round.
-- grain: exact_id, folded_id, valid_from
-- why: just the documents and cards that name one on such a day are worked out again.
with

sets as (
    select
        customer_id,
        any_case,
        valid_from,
        valid_to,
        seq
    from sales.placeholder_customers
),

now_so as (
    select *
    from sets
    qualify seq = max(seq) over ()
),

before as (
    select *
    from sets
    where seq <= $since
    qualify seq = max(seq) over ()
),

days as (
    select customer_id, any_case, valid_from as day
    from now_so
    union
    select customer_id, any_case, valid_to + 1 as day
    from now_so
    union
    select customer_id, any_case, valid_from as day
    from before
    union
    select customer_id, any_case, valid_to + 1 as day
    from before
),

pieces as (
    select
        customer_id,
        any_case,
        day as valid_from,
        lead(day) over (partition by customer_id, any_case order by day) - 1 as valid_to
    from days
)

select
    case when not pieces.any_case then pieces.customer_id end as exact_id,
    case when pieces.any_case then pieces.customer_id end as folded_id,
    pieces.valid_from,
    pieces.valid_to
from pieces
left join now_so
    on pieces.customer_id = now_so.customer_id
    and pieces.any_case = now_so.any_case
    and pieces.valid_from between now_so.valid_from and now_so.valid_to
left join before
    on pieces.customer_id = before.customer_id
    and pieces.any_case = before.any_case
    and pieces.valid_from between before.valid_from and before.valid_to
where
    pieces.valid_to is not null
    and (now_so.customer_id is null) <> (before.customer_id is null)

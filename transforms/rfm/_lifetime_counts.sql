-- How many customers share the same purchase history in a lifetime model's eyes.
-- grain: run, sample, x, t_x, t, holdout_x
-- why: the likelihood of a customer depends on nothing else, so each history is worked out once.
with

customers as (
    select
        run,
        sample,
        x,
        t_x,
        t,
        holdout_x
    from rfm._lifetime_customers
)

select
    run,
    sample,
    x,
    t_x,
    t,
    holdout_x,
    count(*) as customers
from customers
group by
    run,
    sample,
    x,
    t_x,
    t,
    holdout_x

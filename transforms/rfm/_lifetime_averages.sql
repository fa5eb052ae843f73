-- How many customers share the same number of repeat purchases and the same average amount.
-- grain: run, x, average
-- why: Gamma-Gamma is fitted on those who bought again and whose average is above nothing.
with

customers as (
    select
        run,
        sample,
        x,
        average_repeat_purchase
    from rfm._lifetime_customers
)

select
    run,
    x,
    average_repeat_purchase as average,
    count(*) as customers
from customers
where
    sample = 'all'
    and x > 0
    and average_repeat_purchase > 0
group by
    run,
    x,
    average_repeat_purchase

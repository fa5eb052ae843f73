-- In which months each customer bought, and in which it began to.
-- grain: run, customer_id, era
-- why: an era is sixty months and a customer's months in it are the bits of one number, so that who came back is
-- counted without a row for every customer in every month.
with

eras as (
    select
        run,
        customer_id,
        months_ago // 60 as era,
        bit_or(case when is_purchase then cast(1 as bigint) << (months_ago % 60) else 0 end) as months,
        max(case when is_purchase then months_ago end) as began
    from rfm._cohort_receipts
    group by
        run,
        customer_id,
        months_ago // 60
)

select
    run,
    customer_id,
    era,
    months,
    max(began) over (partition by run, customer_id) as began
from eras

-- The scores of customers whose value is shared by customers of another score, by customer id ascending.
-- grain: run, measure, customer_id
-- why: only `even` parts those who are equal, and only at the borders of its runs.
with

parted as (
    select
        run,
        measure,
        above,
        value,
        worse,
        length,
        longer
    from rfm._value_scores
    where score <> last_score
),

customers as (
    select
        parted.run,
        parted.measure,
        parted.above,
        parted.value,
        parted.worse,
        parted.length,
        parted.longer,
        graded.customer_id
    from rfm._graded as graded
    inner join parted
        on graded.run = parted.run
        and graded.recency_above = parted.above
        and graded.recency = parted.value
    where parted.measure = 'recency'

    union all

    select
        parted.run,
        parted.measure,
        parted.above,
        parted.value,
        parted.worse,
        parted.length,
        parted.longer,
        graded.customer_id
    from rfm._graded as graded
    inner join parted
        on graded.run = parted.run
        and graded.frequency_above = parted.above
        and graded.frequency = parted.value
    where parted.measure = 'frequency'

    union all

    select
        parted.run,
        parted.measure,
        parted.above,
        parted.value,
        parted.worse,
        parted.length,
        parted.longer,
        graded.customer_id
    from rfm._graded as graded
    inner join parted
        on graded.run = parted.run
        and graded.monetary_above = parted.above
        and graded.monetary = parted.value
    where parted.measure = 'monetary'
),

in_line as (
    select
        run,
        measure,
        above,
        value,
        length,
        longer,
        customer_id,
        worse - 1 + row_number() over (
            partition by run, measure, above, value
            order by customer_id
        ) as place
    from customers
)

select
    run,
    measure,
    above,
    value,
    customer_id,
    cast(
        case
            when place < longer * (length + 1) then 1 + place // (length + 1)
            else 1 + longer + (place - longer * (length + 1)) // nullif(length, 0)
        end as integer
    ) as score
from in_line

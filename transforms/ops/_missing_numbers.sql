-- Numbers that no document of a register has, as ranges.
-- grain: store_id, business_date, register_id, first_no
-- why: from after the last number of the day before, where that is lower, else from the day's first, to the day's last (spec
-- 7-seeds-whole section 9); a counter that began anew has missed nothing by that.
with

numbers as (
    select distinct
        receipts.store_id,
        receipts.register_id,
        receipts.business_date,
        receipts.transaction_no
    from ops._seen_receipts as receipts
    inner join ops._store_days_due as due
        on receipts.business_date = due.business_date
    where receipts.register_id is not null
),

steps as (
    select
        numbers.store_id,
        numbers.register_id,
        numbers.business_date,
        numbers.transaction_no,
        coalesce(
            lag(numbers.transaction_no) over (
                partition by numbers.store_id, numbers.register_id, numbers.business_date
                order by numbers.transaction_no
            ),
            case when days.last_no_before < days.first_no then days.last_no_before end
        ) as number_before
    from numbers
    inner join ops._register_days as days
        on numbers.store_id = days.store_id
        and numbers.register_id = days.register_id
        and numbers.business_date = days.business_date
)

select
    store_id,
    business_date,
    register_id,
    number_before + 1 as first_no,
    transaction_no - 1 as last_no
from steps
where transaction_no > number_before + 1

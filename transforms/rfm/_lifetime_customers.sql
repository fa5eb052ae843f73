-- Each customer's purchases as the lifetime models see them: repeat purchases, time to the last one, time in all.
-- grain: run, sample, customer_id
-- why: days with a purchase count, not purchases; the first is where the customer begins and is no repeat. The sample
-- `calibration` ends before the holdout, whose purchases stand beside it; returns lessen amounts, never counts.
with

samples as (
    select
        run,
        scope,
        as_of,
        period_end,
        lifetime_unit,
        'all' as sample,
        period_end as last_day
    from rfm._runs
    where lifetime_model is not null

    union all

    select
        run,
        scope,
        as_of,
        period_end,
        lifetime_unit,
        'calibration' as sample,
        period_end - lifetime_holdout_days as last_day
    from rfm._runs
    where lifetime_model is not null
),

purchases as (
    select
        scope,
        customer_id,
        business_date,
        posted_date,
        is_purchase,
        amount
    from rfm._purchases
),

days as (
    select
        samples.run,
        samples.sample,
        samples.last_day,
        samples.lifetime_unit,
        purchases.customer_id,
        purchases.business_date,
        max(case when purchases.is_purchase then 1 else 0 end) as is_purchase,
        sum(purchases.amount) as amount
    from purchases
    inner join samples
        on purchases.scope = samples.scope
        and purchases.business_date <= samples.period_end
        and purchases.posted_date <= samples.as_of
    group by
        samples.run,
        samples.sample,
        samples.last_day,
        samples.lifetime_unit,
        purchases.customer_id,
        purchases.business_date
),

first_days as (
    select
        run,
        sample,
        customer_id,
        min(business_date) as first_day
    from days
    where
        is_purchase = 1
        and business_date <= last_day
    group by
        run,
        sample,
        customer_id
),

customers as (
    select
        days.run,
        days.sample,
        days.customer_id,
        days.lifetime_unit,
        count(case when days.is_purchase = 1 and days.business_date <= days.last_day then 1 end) - 1 as x,
        date_diff(
            'day',
            min(first_days.first_day),
            max(case when days.is_purchase = 1 and days.business_date <= days.last_day then days.business_date end)
        ) as days_to_last,
        date_diff('day', min(first_days.first_day), min(days.last_day)) as days,
        count(case when days.is_purchase = 1 and days.business_date > days.last_day then 1 end) as holdout_x,
        sum(case when days.business_date <= days.last_day then days.amount end) as amount,
        sum(
            case
                when days.business_date <= days.last_day and days.business_date > first_days.first_day then days.amount
            end
        ) as repeat_amount,
        -- a purchase whose amount is not known, for want of a rate, has no part in an average
        count(case when days.is_purchase = 1 and days.business_date <= days.last_day then days.amount end) as priced,
        count(
            case
                when
                    days.is_purchase = 1
                    and days.business_date <= days.last_day
                    and days.business_date > first_days.first_day
                    then days.amount
            end
        ) as repeat_priced
    from days
    inner join first_days
        on days.run = first_days.run
        and days.sample = first_days.sample
        and days.customer_id = first_days.customer_id
    group by
        days.run,
        days.sample,
        days.customer_id,
        days.lifetime_unit
)

select
    run,
    sample,
    customer_id,
    x,
    holdout_x,
    -- weeks of two decimals, half-up
    case lifetime_unit
        when 'week' then cast(cast((200 * days_to_last + 7) // 14 as decimal(18, 0)) * 0.01 as decimal(9, 2))
        else cast(days_to_last as decimal(9, 2))
    end as t_x,
    case lifetime_unit
        when 'week' then cast(cast((200 * days + 7) // 14 as decimal(18, 0)) * 0.01 as decimal(9, 2))
        else cast(days as decimal(9, 2))
    end as t,
    cast(
        sign(repeat_amount)
        * ((2 * cast(abs(repeat_amount) * 100 as bigint) + repeat_priced) // nullif(2 * repeat_priced, 0))
        as decimal(18, 0)
    ) * 0.01 as average_repeat_purchase,
    cast(
        sign(amount) * ((2 * cast(abs(amount) * 100 as bigint) + priced) // nullif(2 * priced, 0)) as decimal(18, 0)
    ) * 0.01 as average_purchase
from customers

-- How much of each judged version is paid, and whether that is enough.
-- grain: order_id, drop_id, judged_on
-- why: paid, authorized and installments not yet due count, in the order's currency; off the total by more than the
-- tolerance is under or over (of 100 at 20 %: 79.99 under, 80 and 120 fine, 121 over).
with

judged as (
    select
        order_id,
        drop_id,
        judged_on,
        currency,
        total_amount,
        version
    from call_center._judged
),

payments as (
    select
        order_id,
        drop_id,
        amount,
        status,
        currency,
        due_on
    from landed.order_payments
),

rules as (
    select
        version,
        coalesce(tolerance_percent, 0) as tolerance_percent
    from programme.call_center
),

sums as (
    select
        judged.order_id,
        judged.drop_id,
        judged.judged_on,
        judged.total_amount,
        judged.version,
        coalesce(
            sum(payments.amount) filter (
                payments.status in ('paid', 'authorized')
                or payments.due_on > judged.judged_on
            ),
            0
        ) as paid,
        coalesce(sum(payments.amount) filter (payments.status = 'paid'), 0) as settled
    from judged
    left join payments
        on judged.order_id = payments.order_id
        and judged.drop_id = payments.drop_id
        and coalesce(payments.currency, judged.currency) = judged.currency
    group by
        judged.order_id,
        judged.drop_id,
        judged.judged_on,
        judged.total_amount,
        judged.version
),

limits as (
    select
        sums.order_id,
        sums.drop_id,
        sums.judged_on,
        sums.total_amount,
        sums.paid,
        sums.settled,
        cast(sums.total_amount as decimal(38, 2)) * (100 - coalesce(rules.tolerance_percent, 0)) as least_percent,
        cast(sums.total_amount as decimal(38, 2)) * (100 + coalesce(rules.tolerance_percent, 0)) as most_percent
    from sums
    left join rules
        on sums.version = rules.version
)

select
    order_id,
    drop_id,
    judged_on,
    paid,
    total_amount - paid as due,
    case
        when total_amount <= 0 then 'none'
        when cast(paid as decimal(38, 2)) * 100 < least_percent then 'under'
        when cast(paid as decimal(38, 2)) * 100 > most_percent then 'over'
        when cast(settled as decimal(38, 2)) * 100 >= least_percent then 'paid'
        else 'authorized'
    end as payment_status
from limits

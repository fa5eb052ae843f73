-- Every reason why an order in scope may not be processed, in the order they are told; stops: nothing may go on at all.
-- grain: order_id, reason
with

orders as (
    select
        orders.*,
        coalesce(rules.order_completion, true) and coalesce(rules.payments_judged, false) as enforced,
        rules.check_hold_over,
        rules.check_hold_days,
        rules.decline_limit,
        coalesce(rules.source_code_required, false) as source_code_required
    from call_center._orders as orders
    left join programme.call_center as rules
        on orders.version = rules.version
),

customers as (
    select *
    from call_center._order_customers
),

payments as (
    select
        payments.*,
        orders.judged_on,
        orders.check_hold_over,
        orders.check_hold_days,
        orders.decline_limit,
        coalesce(customers.allow_on_account, false) as allow_on_account
    from call_center._payments as payments
    inner join orders
        on payments.order_id = orders.order_id
    left join customers
        on payments.order_id = customers.order_id
    where orders.enforced
),

paid as (
    select
        paid.order_id,
        paid.payment_status
    from call_center._paid as paid
    inner join orders
        on paid.order_id = orders.order_id
        and paid.drop_id = orders.drop_id
        and paid.judged_on = orders.judged_on
    where orders.enforced
),

source_codes as (
    select
        source_code,
        coalesce(valid_from, date '0001-01-01') as valid_from,
        coalesce(valid_to, date '9999-12-31') as valid_to
    from call_center._source_codes
),

open_holds as (
    select
        order_id,
        hold_code
    from call_center.order_holds
    where cleared_at is null
),

fraud_codes as (
    select distinct fraud_hold_code as hold_code
    from programme.call_center
),

cleared as (
    select
        events.order_id,
        events.event,
        events.reason
    from call_center.hold_events as events
    inner join orders
        on events.order_id = orders.order_id
        and orders.drop_date <= events.event_date
    where events.applied
),

found as (
    select order_id, 'not_submitted' as reason, 1 as place, false as stops
    from orders
    where status not in ('submitted', 'invoiced')

    union

    select order_id, 'customer_pending' as reason, 2 as place, false as stops
    from customers
    where status = 'pending'

    union

    select order_id, 'customer_on_hold' as reason, 3 as place, false as stops
    from customers
    where on_hold

    union

    select order_id, payment_status as reason, 4 as place, false as stops
    from paid
    where payment_status in ('under', 'over')

    union

    select order_id, 'check_hold' as reason, 5 as place, false as stops
    from payments
    where
        type = 'check'
        and amount > check_hold_over
        and coalesce(date_diff('day', paid_on, judged_on) < check_hold_days, true)

    union

    select order_id, 'declined' as reason, 6 as place, false as stops
    from payments
    where decline_count > decline_limit

    union

    select order_id, 'currency' as reason, 7 as place, false as stops
    from payments
    where not counted

    union

    select order_id, 'on_account' as reason, 8 as place, false as stops
    from payments
    where
        type = 'on_account'
        and not allow_on_account

    union

    select installments.order_id, 'installment' as reason, 9 as place, false as stops
    from call_center._installment_payments as installments
    inner join orders
        on installments.order_id = orders.order_id
    where
        orders.enforced
        and not installments.eligible

    union

    select order_id, 'delivery_mode' as reason, 10 as place, false as stops
    from call_center._undeliverable

    union

    select orders.order_id, 'source_code' as reason, 11 as place, false as stops
    from orders
    left join source_codes
        on orders.source_code = source_codes.source_code
        and orders.business_date between source_codes.valid_from and source_codes.valid_to
    where
        orders.exchange_of_order_id is null
        and source_codes.source_code is null
        and (orders.source_code is not null or orders.source_code_required)

    union

    select order_id, 'price' as reason, 12 as place, false as stops
    from call_center.price_checks
    where override = 'flagged' or margin = 'blocked'

    union

    select
        order_id,
        case
            when hold_code in (select hold_code from fraud_codes) then 'fraud_hold' else 'on_hold'
        end as reason,
        case when hold_code in (select hold_code from fraud_codes) then 13 else 14 end as place,
        true as stops
    from open_holds

    union

    select order_id, 'submit_failed' as reason, 15 as place, true as stops
    from cleared
    where reason = 'submit_failed'

    union

    select order_id, 'modify' as reason, 16 as place, true as stops
    from cleared
    where event = 'clear_and_modify'

    union

    select order_id, 'delayed' as reason, 17 as place, true as stops
    from call_center._unshipped
    where order_id in (select order_id from call_center.notices where notice = 'cancel')
)

select
    order_id,
    reason,
    place,
    stops
from found
where order_id in (select order_id from orders)

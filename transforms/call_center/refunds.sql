-- What goes back to customers of cancelled and return orders, how, and whether somebody must approve it.
-- grain: order_id
-- why: a refund goes the way the money came; if it came several ways, or nobody knows how, the default way.
with

orders as (
    select
        order_id,
        status,
        total_amount,
        version
    from call_center._orders
),

lines as (
    select
        order_id,
        original_order_id
    from call_center._lines
    where kind = 'return'
),

payments as (
    select
        order_id,
        type,
        amount,
        status
    from call_center._payments
    where counted
),

overpaid as (
    select
        orders.order_id,
        orders.version,
        orders.status = 'cancelled' as cancelled,
        coalesce(
            sum(payments.amount) filter (
                payments.status = 'paid'
                or (payments.status = 'authorized' and orders.status <> 'cancelled')
            ),
            0
        ) - case when orders.status = 'cancelled' then 0 else orders.total_amount end as amount
    from orders
    left join payments
        on orders.order_id = payments.order_id
    where
        orders.status = 'cancelled'
        or orders.order_id in (select order_id from lines)
    group by
        orders.order_id,
        orders.version,
        orders.status,
        orders.total_amount
),

origins as (
    select
        order_id,
        order_id as paid_in
    from overpaid
    where cancelled

    union

    select
        overpaid.order_id,
        lines.original_order_id as paid_in
    from overpaid
    inner join lines
        on overpaid.order_id = lines.order_id
    where not overpaid.cancelled
),

ways as (
    select
        origins.order_id,
        bool_or(paid.document_id is null) as unlinked,
        min(paid.type) as type,
        count(distinct paid.type) as types
    from origins
    left join call_center._paid_ways as paid
        on origins.paid_in = paid.document_id
    group by origins.order_id
),

rules as (
    select
        version,
        refund_cash,
        refund_check,
        refund_default,
        approve_over
    from programme.call_center
    where payments_judged
)

select
    overpaid.order_id,
    case
        when ways.unlinked or ways.types <> 1 then rules.refund_default
        when ways.type = 'cash' then rules.refund_cash
        when ways.type = 'check' then rules.refund_check
        when ways.type in ('card', 'loyalty', 'gift_card') then ways.type
        else rules.refund_default
    end as method,
    overpaid.amount,
    case when overpaid.amount > rules.approve_over then 'queue' else 'auto' end as approval
from overpaid
inner join ways
    on overpaid.order_id = ways.order_id
inner join rules
    on overpaid.version = rules.version
where overpaid.amount > 0

-- The children each continuity order has or is to have, and when each is to be made.
-- grain: parent_order_id, child_no
-- why: the day to make a child is days before it is due; one whose day passed without an order is missed, and missed
-- ones go out together where the program says so. The parent closes when all are invoiced.
with

events as (
    select *
    from call_center._continuity_events
),

numbered as (
    select
        *,
        row_number() over (
            partition by parent_order_id
            order by due_on, event_no, occurrence, schedule_id
        ) as child_no
    from events
),

children as (
    select
        parent_order_id,
        child_no,
        event_no,
        product_id,
        due_on,
        due_on - days_before_delivery as create_on,
        consolidate_missed
    from numbered
    where child_no <= coalesce(max_child_orders, child_no)
),

orders as (
    select
        parent_order_id,
        child_no,
        status
    from call_center._orders
    where parent_order_id is not null
    qualify row_number() over (partition by parent_order_id, child_no order by status = 'cancelled', order_id) = 1
),

judged as (
    select
        children.*,
        case
            when orders.status is not null then orders.status
            when children.create_on < $business_date then 'missed'
            when children.create_on = $business_date then 'due'
            else 'planned'
        end as status
    from children
    left join orders
        on children.parent_order_id = orders.parent_order_id
        and children.child_no = orders.child_no
)

select
    parent_order_id,
    child_no,
    event_no,
    product_id,
    due_on,
    create_on,
    status,
    case
        when status = 'missed' and consolidate_missed
            then min(case when status = 'missed' then child_no end) over (partition by parent_order_id)
        else child_no
    end as batch,
    case
        when bool_and(status = 'invoiced') over (partition by parent_order_id) then 'closed' else 'open'
    end as parent_status
from judged

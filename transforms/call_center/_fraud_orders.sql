-- Versions of orders to check for fraud: each landed as submitted, with all a rule of level order may ask.
-- grain: order_id, checked_on
-- why: what counts is what was known on the drop's date, whenever the check is worked out.
with

submitted as (
    select *
    from call_center._order_versions
    where
        status = 'submitted'
        and drop_date in (select checked_on from call_center._fraud_days)
    qualify row_number() over (partition by order_id, drop_date order by drop_id desc) = 1
),

rules as (
    select
        first_day,
        last_day,
        version
    from call_center._programme
    where
        order_completion
        and minimum_score is not null
),

customer_ids as (
    select
        customer_id,
        account
    from call_center._customer_ids
),

customers as (
    select
        account,
        status,
        customer_group,
        customer_type,
        cast(created_at as date) as created_on,
        valid_from,
        coalesce(valid_to, date '9999-12-31') as valid_to
    from customers.customers
),

checks as (
    select
        submitted.*,
        submitted.drop_date as checked_on,
        rules.version,
        coalesce(customer_ids.account, submitted.customer_id) as account
    from submitted
    inner join rules
        on submitted.drop_date between rules.first_day and rules.last_day
    left join customer_ids
        on submitted.customer_id = customer_ids.customer_id
),

invoices as (
    select
        orders.order_id,
        coalesce(customer_ids.account, orders.customer_id) as account,
        orders.invoiced_date,
        orders.status,
        orders.drop_date as known_from,
        coalesce(
            lead(orders.drop_date) over (partition by orders.order_id order by orders.drop_date, orders.drop_id),
            date '9999-12-31'
        ) as known_to
    from call_center._known_orders as orders
    left join customer_ids
        on orders.customer_id = customer_ids.customer_id
    where orders.customer_id is not null
),

bought as (
    select
        checks.order_id,
        checks.checked_on,
        count(*) as customer_orders
    from checks
    inner join invoices
        on checks.account = invoices.account
        and checks.order_id <> invoices.order_id
        and invoices.status = 'invoiced'
        and invoices.invoiced_date < checks.checked_on
        and checks.checked_on >= invoices.known_from
        and checks.checked_on < invoices.known_to
    group by
        checks.order_id,
        checks.checked_on
),

addresses as (
    select
        order_id,
        drop_id,
        max(zip) filter (area = 'billing') as billing_zip,
        max(country) filter (area = 'billing') as billing_country,
        max(zip) filter (area = 'delivery') as delivery_zip,
        max(country) filter (area = 'delivery') as delivery_country
    from call_center._addresses
    where
        line_no is null
        and drop_date in (select checked_on from call_center._fraud_days)
    group by
        order_id,
        drop_id
)

select
    checks.*,
    case
        when customers.status = 'synced' then date_diff('day', customers.created_on, checks.checked_on) else 0
    end as customer_age_days,
    case when customers.status = 'synced' then coalesce(bought.customer_orders, 0) else 0 end as customer_orders,
    customers.customer_group,
    customers.customer_type,
    addresses.billing_zip,
    addresses.billing_country,
    addresses.delivery_zip,
    addresses.delivery_country
from checks
left join customers
    on checks.account = customers.account
    and checks.checked_on >= customers.valid_from
    and checks.checked_on < customers.valid_to
left join bought
    on checks.order_id = bought.order_id
    and checks.checked_on = bought.checked_on
left join addresses
    on checks.order_id = addresses.order_id
    and checks.drop_id = addresses.drop_id

-- Notices to send tonight, or on a night that this run makes up for.
-- grain: order_id, notice
-- why: each notice once, on the first night on which it is due and the order, as then known, still waits; of several due
-- at once the highest only. So nights run one by one and as a range send the same.
with

versions as (
    select
        order_id,
        drop_id,
        business_date,
        status,
        customer_id,
        greatest(drop_date, least(cast($since_date as date) + 1, $business_date)) as known_from,
        coalesce(
            lead(greatest(drop_date, least(cast($since_date as date) + 1, $business_date))) over (
                partition by order_id order by drop_date, drop_id
            ),
            date '9999-12-31'
        ) as known_to
    from call_center._order_versions
),

products as (
    select
        product_id,
        notice_exempt
    from call_center._products
),

waiting_lines as (
    select distinct
        lines.order_id,
        lines.drop_id
    from landed.order_lines as lines
    left join products
        on lines.product_id = products.product_id
    where
        lines.kind <> 'return'
        and lines.shipped_date is null
        and not coalesce(products.notice_exempt, false)
        and lines.order_id in (select order_id from call_center._scope)
),

rules as (
    select
        first_day,
        last_day,
        unnest(['first', 'second', 'cancel']) as notice,
        unnest([1, 2, 3]) as height,
        unnest([first_notice, second_notice, cancel_notice]) as days
    from call_center._programme
    where first_notice is not null
),

customer_ids as (
    select
        customer_id,
        account
    from call_center._customer_ids
),

exempt as (
    select
        account,
        valid_from,
        coalesce(valid_to, date '9999-12-31') as valid_to
    from customers.customers
    where notice_exempt
),

due as (
    select
        versions.order_id,
        rules.notice,
        rules.height,
        versions.business_date + rules.days as due_on,
        greatest(versions.business_date + rules.days, versions.known_from) as sent_on,
        versions.known_to,
        coalesce(customer_ids.account, versions.customer_id) as account
    from versions
    inner join waiting_lines
        on versions.order_id = waiting_lines.order_id
        and versions.drop_id = waiting_lines.drop_id
    inner join rules
        on versions.business_date between rules.first_day and rules.last_day
    left join customer_ids
        on versions.customer_id = customer_ids.customer_id
    where versions.status = 'submitted'
),

first_nights as (
    select
        due.order_id,
        due.notice,
        due.height,
        min(due.due_on) as due_on,
        min(due.sent_on) as sent_on
    from due
    left join exempt
        on due.account = exempt.account
        and due.sent_on >= exempt.valid_from
        and due.sent_on < exempt.valid_to
    where
        due.sent_on < due.known_to
        and due.sent_on <= $business_date
        and exempt.account is null
    group by
        due.order_id,
        due.notice,
        due.height
),

sent as (
    select
        order_id,
        notice,
        list_position(['first', 'second', 'cancel'], notice) as height,
        sent_on
    from call_center.notices
),

overtaken as (
    select
        first_nights.order_id,
        first_nights.notice
    from first_nights
    inner join (
        select order_id, height, sent_on
        from first_nights

        union all

        select order_id, height, sent_on
        from sent
    ) as higher
        on first_nights.order_id = higher.order_id
        and first_nights.height < higher.height
        and first_nights.sent_on >= higher.sent_on
)

select
    first_nights.order_id,
    first_nights.notice,
    first_nights.due_on,
    first_nights.sent_on
from first_nights
left join sent
    on first_nights.order_id = sent.order_id
    and first_nights.notice = sent.notice
left join overtaken
    on first_nights.order_id = overtaken.order_id
    and first_nights.notice = overtaken.notice
where
    sent.order_id is null
    and overtaken.order_id is null

-- How often each coupon code was used where its limit counts, and what is wrong with it.
-- grain: coupon_code, scope_id
-- why: limits are per code: two codes of one coupon, each limited to one use, make two uses. A transaction or a
-- submitted or invoiced order with the code is one use, on however many lines.
with

transactions as (
    select
        transaction_id,
        drop_id,
        business_date,
        channel_id,
        customer_id
    from customers.receipts
    where channel_kind <> 'call_center'
),

receipt_lines as (
    select
        transaction_id,
        drop_id,
        coupon_code
    from landed.lines
    where
        coupon_code is not null
        and kind <> 'return'
        and not coalesce(voided, false)
),

orders as (
    select
        order_id,
        business_date,
        call_center_id,
        customer_id
    from call_center._orders
    where status in ('submitted', 'invoiced')
),

order_lines as (
    select
        order_id,
        coupon_code
    from call_center._lines
    where
        coupon_code is not null
        and kind <> 'return'
),

customer_ids as (
    select
        customer_id,
        account
    from call_center._customer_ids
),

uses as (
    select distinct
        folded(receipt_lines.coupon_code) as code,
        transactions.transaction_id as document_id,
        transactions.business_date,
        transactions.channel_id,
        coalesce(customer_ids.account, transactions.customer_id) as customer_id
    from transactions
    inner join receipt_lines
        on transactions.transaction_id = receipt_lines.transaction_id
        and transactions.drop_id = receipt_lines.drop_id
    left join customer_ids
        on transactions.customer_id = customer_ids.customer_id

    union

    select distinct
        folded(order_lines.coupon_code) as code,
        orders.order_id as document_id,
        orders.business_date,
        orders.call_center_id as channel_id,
        orders.customer_id
    from orders
    inner join order_lines
        on orders.order_id = order_lines.order_id
),

coupons as (
    select *
    from call_center._coupons
),

scoped as (
    select
        coalesce(coupons.coupon_code, uses.code) as coupon_code,
        case coupons.limit_per
            when 'customer' then coalesce(uses.customer_id, '')
            when 'channel' then uses.channel_id
            else 'all'
        end as scope_id,
        coupons.usage_limit,
        coupons.code is null as unknown,
        coalesce(coupons.status = 'inactive', false) as inactive,
        coalesce(uses.business_date not between coupons.valid_from and coupons.valid_to, false) as expired
    from uses
    left join coupons
        on uses.code = coupons.code
),

counted as (
    select
        coupon_code,
        scope_id,
        usage_limit,
        count(*) as used,
        bool_or(unknown) as unknown,
        bool_or(inactive) as inactive,
        bool_or(expired) as expired
    from scoped
    group by
        coupon_code,
        scope_id,
        usage_limit
)

select
    coupon_code,
    scope_id,
    used,
    usage_limit,
    nullif(
        concat_ws(
            '|',
            case when used > usage_limit then 'over_use' end,
            case when expired then 'expired' end,
            case when inactive then 'inactive' end,
            case when unknown then 'unknown' end
        ),
        ''
    ) as flags
from counted

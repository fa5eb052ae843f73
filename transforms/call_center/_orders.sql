-- The newest version of each order in scope, with its customer, its rules and the day it is judged as of.
-- grain: order_id
-- why: an order that is done is judged as of the drop that said so, an open one as of tonight: so any split of the
-- nights ends the same.
with

newest as (
    select *
    from call_center._order_versions
    qualify row_number() over (partition by order_id order by drop_date desc, drop_id desc) = 1
),

customer_ids as (
    select
        customer_id,
        account
    from call_center._customer_ids
),

channels as (
    select
        channel_id,
        time_zone,
        warehouse
    from call_center._channels
),

rules as (
    select
        first_day,
        last_day,
        version
    from call_center._programme
)

select
    newest.order_id,
    newest.drop_id,
    newest.drop_date,
    newest.call_center_id,
    coalesce(channels.time_zone, 'UTC') as time_zone,
    coalesce(customer_ids.account, newest.customer_id) as customer_id,
    -- A time without offset is the call center's clock; an hour that comes twice is the first.
    case
        when coalesce(newest.ordered_local, false)
            then least(
                timezone(coalesce(channels.time_zone, 'UTC'), timezone('UTC', newest.ordered_at)),
                case
                    when
                        timezone(
                            coalesce(channels.time_zone, 'UTC'),
                            timezone(coalesce(channels.time_zone, 'UTC'), timezone('UTC', newest.ordered_at))
                            - interval 60 minute
                        ) = timezone('UTC', newest.ordered_at)
                        then timezone(coalesce(channels.time_zone, 'UTC'), timezone('UTC', newest.ordered_at))
                        - interval 60 minute
                end
            )
        else newest.ordered_at
    end as ordered_at,
    newest.business_date,
    newest.currency,
    newest.status,
    newest.invoiced_date,
    newest.source_code,
    newest.catalog_id,
    newest.delivery_mode,
    newest.expedite_code,
    newest.net_amount,
    newest.charges_amount,
    newest.total_amount,
    newest.operator_id,
    newest.manual_hold_code,
    newest.exchange_of_order_id,
    newest.parent_order_id,
    newest.child_no,
    newest.warehouse,
    channels.warehouse as channel_warehouse,
    case when newest.status in ('open', 'submitted') then $business_date else newest.drop_date end as judged_on,
    rules.version
from newest
left join customer_ids
    on newest.customer_id = customer_ids.customer_id
left join channels
    on newest.call_center_id = channels.channel_id
left join rules
    on newest.business_date between rules.first_day and rules.last_day

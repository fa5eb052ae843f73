-- Each channel with its default customer, by the business dates that see it.
-- grain: channel_id, valid_from
with

channels as (
    select
        channel_id,
        country,
        time_zone,
        default_customer_id,
        valid_from,
        valid_to
    from reference.channels
),

mapped as (
    select
        async_id,
        account
    from customers.account_map
)

select
    channels.channel_id,
    channels.country,
    zones.time_zone,
    coalesce(mapped.account, channels.default_customer_id) as default_account,
    channels.valid_from,
    channels.valid_to
from channels
left join customers._time_zones as zones
    on channels.time_zone = zones.time_zone
left join mapped
    on channels.default_customer_id = mapped.async_id

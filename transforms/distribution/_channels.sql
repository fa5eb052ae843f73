-- Dataset channels of each database: its own.
-- grain: database, channel_id
select
    database,
    channel_id,
    kind,
    name,
    currency,
    time_zone,
    country,
    default_customer_id,
    customer_mode
from distribution._databases

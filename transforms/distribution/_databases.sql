-- The databases to serve, with their channels as they hold on the opening day.
-- grain: database, channel_id
-- why: a database belongs to one data group; where its channels disagree, the first by name serves it whole. An
-- offline database has the channels of its online one and goes with it.
with

request as (
    select
        opening_day,
        data_group
    from distribution._request
),

channels as (
    select
        channels.database,
        min(channels.data_group) over (partition by channels.database) as data_group,
        channels.channel_id,
        channels.kind,
        channels.name,
        channels.currency,
        channels.time_zone,
        channels.country,
        channels.org_path,
        channels.default_customer_id,
        channels.customer_mode
    from reference.channels as channels
    inner join request
        on request.opening_day between channels.valid_from and channels.valid_to
    where channels.database is not null
),

offline as (
    select
        offline.database,
        offline.online_database
    from distribution._offline as offline
    where offline.database not in (select channels.database from channels)
),

databases as (
    select
        database as name,
        database as online_database,
        false as is_offline
    from channels

    union

    select
        database as name,
        online_database,
        true as is_offline
    from offline
)

select
    databases.name as database,
    channels.data_group,
    databases.is_offline,
    channels.channel_id,
    channels.kind,
    channels.name,
    channels.currency,
    channels.time_zone,
    channels.country,
    channels.org_path,
    channels.default_customer_id,
    channels.customer_mode
from databases
inner join channels
    on databases.online_database = channels.database
inner join request
    on request.data_group is null
    or request.data_group = channels.data_group

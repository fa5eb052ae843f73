-- The databases to serve, with their channels as they hold on the opening day.
-- grain: channel_id
-- why: a database belongs to one data group; where its channels disagree, the first by name serves it whole.
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
        channels.data_group,
        channels.channel_id,
        channels.org_path,
        channels.default_customer_id
    from reference.channels as channels
    inner join request
        on request.opening_day between channels.valid_from and channels.valid_to
    where channels.database is not null
),

grouped as (
    select
        database,
        min(data_group) over (partition by database) as data_group,
        channel_id,
        org_path,
        default_customer_id
    from channels
)

select
    grouped.database,
    grouped.data_group,
    grouped.channel_id,
    grouped.org_path,
    grouped.default_customer_id
from grouped
inner join request
    on request.data_group is null
    or request.data_group = grouped.data_group
order by
    grouped.database,
    grouped.channel_id

-- The channels each due definition takes in, day by day.
-- grain: version, definition, channel_id, business_date
-- why: an org path takes in every channel at or below it as of the day of the sale; a channel that nobody
-- described is only in "all".
with

definitions as (
    select
        version,
        definition,
        first_day,
        last_day
    from rfm._scopes
),

selectors as (
    select
        version,
        definition,
        channel
    from programme.rfm_channels
),

days as (
    select distinct
        channel_id,
        business_date
    from rfm._sales_days
),

channels as (
    select
        channel_id,
        org_path,
        valid_from,
        valid_to
    from reference.channels
)

select distinct
    definitions.version,
    definitions.definition,
    days.channel_id,
    days.business_date
from days
inner join definitions
    on days.business_date between definitions.first_day and definitions.last_day
left join channels
    on days.channel_id = channels.channel_id
    and days.business_date between channels.valid_from and channels.valid_to
inner join selectors
    on definitions.version = selectors.version
    and definitions.definition = selectors.definition
where
    selectors.channel = 'all'
    or selectors.channel = channels.channel_id
    or starts_with(channels.org_path || '/', selectors.channel || '/')

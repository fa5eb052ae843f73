-- The schemes that reach a channel on a business date.
-- grain: channel_id, business_date, scheme_id
-- why: a channel takes part in a program only through a scheme; an organisation path takes in all at or below it.
with

days as (
    select distinct
        channel_id,
        business_date,
        version
    from loyalty._documents
)

select distinct
    days.channel_id,
    days.business_date,
    selectors.scheme_id
from days
inner join programme.scheme_channels as selectors
    on days.version = selectors.version
left join reference.channels as channels
    on days.channel_id = channels.channel_id
    and days.business_date between channels.valid_from and channels.valid_to
where
    selectors.channel = 'all'
    or selectors.channel = channels.channel_id
    or selectors.channel = channels.org_path
    or starts_with(channels.org_path, rtrim(selectors.channel, '/') || '/')

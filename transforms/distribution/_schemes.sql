-- The schemes that reach each channel of the databases.
-- grain: database, channel_id, scheme_id
-- why: a channel takes part in a program only through a scheme; an organisation path takes in all at or below it.
with

request as (
    select version
    from distribution._request
),

selectors as (
    select
        selectors.scheme_id,
        selectors.channel
    from programme.scheme_channels as selectors
    inner join request
        on selectors.version = request.version
),

excluded as (
    select
        excluded.scheme_id,
        string_agg(distinct excluded.affiliation_id, '|' order by excluded.affiliation_id) as excluded_affiliations
    from programme.excluded_affiliations as excluded
    inner join request
        on excluded.version = request.version
    group by excluded.scheme_id
),

reached as (
    select distinct
        databases.database,
        databases.channel_id,
        selectors.scheme_id
    from distribution._databases as databases
    inner join selectors
        on selectors.channel = 'all'
        or selectors.channel = databases.channel_id
        or selectors.channel = databases.org_path
        or starts_with(databases.org_path, rtrim(selectors.channel, '/') || '/')
)

select
    reached.database,
    reached.channel_id,
    reached.scheme_id,
    excluded.excluded_affiliations
from reached
left join excluded
    on reached.scheme_id = excluded.scheme_id

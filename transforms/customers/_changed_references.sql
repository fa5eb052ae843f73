-- Channels, customer groups and attribute definitions that tonight's drops say something new of.
-- grain: kind, id
-- why: a head office that sends all its records each night changes nothing with those that stay as they were.
with

touched_drops as (
    select drop_id
    from sales._touched_drops
),

records as (
    select
        'channel' as kind,
        channel_id as id,
        drop_date,
        drop_id,
        [country, time_zone, default_customer_id] as content
    from landed.channels

    union all

    select
        'group' as kind,
        id,
        drop_date,
        drop_id,
        [financial_dimensions] as content
    from landed.customer_groups

    union all

    select
        'attribute' as kind,
        attribute as id,
        drop_date,
        drop_id,
        [type, allowed_values, cast(minimum as varchar), cast(maximum as varchar)] as content
    from landed.customer_attribute_definitions
),

brought as (
    select distinct
        kind,
        id
    from records
    where drop_id in (select drop_id from touched_drops)
),

compared as (
    select
        records.kind,
        records.id,
        records.drop_id,
        records.content,
        lag(records.content) over (
            partition by records.kind, records.id order by records.drop_date, records.drop_id
        ) as content_before,
        lead(records.content) over (
            partition by records.kind, records.id order by records.drop_date, records.drop_id
        ) as content_after
    from records
    inner join brought
        on records.kind = brought.kind
        and records.id = brought.id
    where records.drop_date <= $business_date
)

select distinct
    kind,
    id
from compared
where
    drop_id in (select drop_id from touched_drops)
    and (content is distinct from content_before or content_after is distinct from content)

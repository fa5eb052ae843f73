-- Channels as each business date sees them.
-- grain: channel_id, valid_from, and the rows of that version
-- why: a fact of a day sees the newest record of that day or before, else the first one there is; the newest
-- drop's version of a key replaces all its rows.
with

rows_landed as (
    select *
    from landed.channels
    where drop_date <= $business_date
),

drops as (
    select distinct
        channel_id,
        drop_date,
        drop_id
    from rows_landed
),

versions as (
    select
        channel_id,
        drop_date,
        drop_id,
        case
            when row_number() over (partition by channel_id order by drop_date, drop_id) = 1 then date '0001-01-01'
            else drop_date
        end as valid_from,
        coalesce(
            lead(drop_date) over (partition by channel_id order by drop_date, drop_id) - 1,
            date '9999-12-31'
        ) as valid_to
    from drops
)

select
    rows_landed.channel_id,
    rows_landed.kind,
    rows_landed.name,
    rows_landed.legal_entity,
    rows_landed.currency,
    rows_landed.time_zone,
    rows_landed.country,
    rows_landed.org_path,
    rows_landed.default_customer_id,
    rows_landed.database,
    rows_landed.data_group,
    rows_landed.customer_mode,
    rows_landed.loyalty_tender,
    versions.valid_from,
    versions.valid_to
from rows_landed
inner join versions
    on rows_landed.channel_id = versions.channel_id
    and rows_landed.drop_id = versions.drop_id
where versions.valid_from <= versions.valid_to

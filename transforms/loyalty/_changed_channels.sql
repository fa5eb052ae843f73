-- Channels of which tonight's drops say something else than was known, and the business dates that see it.
-- grain: channel_id, valid_from
with

landed_rows as (
    select
        channel_id,
        row(org_path, time_zone, loyalty_tender) as content,
        drop_date,
        drop_id,
        seq
    from landed.channels
    where drop_date <= $business_date
),

compared as (
    select
        channel_id,
        content,
        drop_date,
        drop_id,
        seq,
        lag(content) over following as content_before,
        lag(drop_date) over following as drop_before,
        lead(content) over following as content_after,
        lead(drop_date) over following as drop_after
    from landed_rows
    window following as (partition by channel_id order by drop_date, drop_id)
)

select
    channel_id,
    case when drop_before is null then date '0001-01-01' else drop_date end as valid_from,
    coalesce(drop_after - 1, date '9999-12-31') as valid_to
from compared
where
    (seq > $since or drop_date > $since_date)
    and case
        when drop_before is not null then content is distinct from content_before
        else drop_after is null or content is distinct from content_after
    end

union all

-- Those of which a drop that came again no longer says what it said.
select distinct
    name as channel_id,
    date '0001-01-01' as valid_from,
    date '9999-12-31' as valid_to
from ops.withdrawn
where
    seq > $since
    and dataset = 'channels'

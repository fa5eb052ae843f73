-- What members did other than buying, as its newest drop has it, dated up to tonight.
-- grain: activity_id
-- why: an activity belongs to its channel's local date; without a channel to that of UTC (spec 2-loyalty section 3).
with

activities as (
    select
        activity_id,
        card_id,
        activity_type,
        channel_id,
        occurred_at,
        drop_date,
        drop_id,
        seq
    from landed.other_activities
    where drop_date <= $business_date
),

dated as (
    select
        activities.activity_id,
        activities.card_id,
        activities.activity_type,
        activities.channel_id,
        activities.occurred_at,
        cast(activities.occurred_at at time zone coalesce(channels.time_zone, 'UTC') as date) as business_date,
        activities.drop_date,
        activities.drop_id,
        activities.seq
    from activities
    left join reference.channels as channels
        on activities.channel_id = channels.channel_id
        and cast(activities.occurred_at at time zone 'UTC' as date) between channels.valid_from and channels.valid_to
)

select
    activity_id,
    card_id,
    activity_type,
    channel_id,
    occurred_at,
    business_date,
    seq > $since or greatest(business_date, drop_date) > $since_date as is_new,
    count(*) over (partition by activity_id) > 1 as came_before,
    case when drop_date > $published_date then greatest(drop_date, business_date) else $business_date end as posted_date
from dated
where business_date <= $business_date
qualify row_number() over (partition by activity_id order by drop_date desc, drop_id desc) = 1

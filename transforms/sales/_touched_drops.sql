-- Drops that came, or came again, since sales were last worked out.
-- grain: drop_id
-- why: only what they hold, or used to hold, can change sales tonight.
with

drops as (
    select
        drop_id,
        feed,
        business_date,
        seq
    from ops.drops
)

select
    drop_id,
    feed
from drops
where
    business_date <= $business_date
    and (seq > $since or business_date > $since_date)

-- How much of a line has come back before and after each return of points that may have been cut when they were earned.
-- grain: portion_no
-- why: what such a line earned only the fold knows, so it works the part out that the return takes back.
select
    row_number() over (order by event_id, card_id) - 1 as portion_no,
    event_id,
    card_id,
    before_milli,
    after_milli,
    original_milli,
    unit_h
from loyalty._events
where
    original_milli is not null
    and reward_point_id in (select reward_point_id from programme.reward_points where maximum_h is not null)

-- Head-office drops of past nights that came again since loyalty was last worked out.
-- grain: drop_id
-- why: what such a drop no longer holds is withdrawn and nothing names it any more, so every account is looked at.
select drop_id
from ops.drops
where
    feed = 'hq'
    and seq > $since
    and revision > 1
    and business_date <= $since_date

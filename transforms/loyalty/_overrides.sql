-- Tiers given by hand, as their newest drop has them.
-- grain: card_id, program_id, tier_id, valid_from
select
    card_id,
    program_id,
    tier_id,
    valid_from,
    valid_to,
    seq > $since or greatest(valid_from, drop_date) > $since_date as is_new
from landed.card_tier_overrides
where
    drop_date <= $business_date
    and valid_from <= $business_date
qualify row_number() over (
    partition by card_id, program_id, tier_id, valid_from
    order by drop_date desc, drop_id desc
) = 1

-- The stays of tonight's accounts as they are to stand.
-- grain: card_id, program_id, tier_id, valid_from
-- why: the bucket spreads cards over few files, so that a night replaces only those it touches.
select
    card_id,
    program_id,
    tier_id,
    valid_from,
    level,
    valid_to,
    qualified_on,
    reason,
    cast(strpos('0123456789abcdef', substr(md5(card_id), 1, 1)) as integer) as bucket
from loyalty._new_stays

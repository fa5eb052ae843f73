-- Buckets of loyalty.card_tiers in which a stay of tonight's accounts changes.
-- grain: bucket
with

now as (
    select
        card_id,
        program_id,
        tier_id,
        valid_from,
        level,
        valid_to,
        qualified_on,
        reason,
        bucket
    from loyalty._stays_now
),

published as (
    select
        card_id,
        program_id,
        tier_id,
        valid_from,
        level,
        valid_to,
        qualified_on,
        reason,
        bucket
    from loyalty.card_tiers
    where card_id in (select card_id from loyalty._scope_cards where not only_due)
),

changes as (
    (select * from now except select * from published)
    union all
    (select * from published except select * from now)
)

select distinct bucket
from changes

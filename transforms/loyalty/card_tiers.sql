-- Stays in tiers, in the buckets that change tonight.
-- grain: card_id, program_id, tier_id, valid_from
-- why: a bucket is replaced as a whole: the stays of other cards as they stand, those of tonight's accounts anew.
with

untouched as (
    select *
    from loyalty.card_tiers
    where card_id not in (select card_id from loyalty._scope_cards where not only_due)
),

stays as (
    select * from untouched
    union all by name
    select * from loyalty._stays_now
)

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
from stays
where bucket in (select bucket from loyalty._affected_buckets)

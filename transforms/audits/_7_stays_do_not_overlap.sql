-- 7. Stays of a card in a tier never overlap or touch, and no two tiers of a program share a level.
with

stays as (
    select
        card_id,
        program_id,
        tier_id,
        level,
        valid_from,
        coalesce(valid_to, date '9999-12-31') as valid_to
    from loyalty.card_tiers
)

select
    earlier.card_id,
    earlier.program_id,
    earlier.tier_id,
    earlier.valid_from,
    earlier.valid_to,
    later.tier_id as other_tier_id,
    later.valid_from as other_valid_from
from stays as earlier
inner join stays as later
    on earlier.card_id = later.card_id
    and earlier.program_id = later.program_id
    and earlier.valid_from <= later.valid_to
    and later.valid_from <= earlier.valid_to
    and (
        earlier.tier_id = later.tier_id
        and earlier.valid_from < later.valid_from
        or earlier.tier_id < later.tier_id
        and earlier.level = later.level
    )

union all

select
    card_id,
    program_id,
    tier_id,
    valid_from,
    valid_to,
    null as other_tier_id,
    null as other_valid_from
from stays
where valid_to < valid_from

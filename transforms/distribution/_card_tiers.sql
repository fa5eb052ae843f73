-- Dataset card_tiers of each database: its cards' stays that have not ended.
-- grain: database, card_id, program_id, tier_id, valid_from
with

request as (
    select opening_day
    from distribution._request
)

select
    cards.database,
    stays.card_id,
    stays.program_id,
    stays.tier_id,
    stays.valid_from,
    stays.level,
    stays.valid_to
from distribution._cards as cards
inner join loyalty.card_tiers as stays
    on cards.card_id = stays.card_id
    and cards.program_id = stays.program_id
inner join request
    on stays.valid_to is null
    or stays.valid_to >= request.opening_day

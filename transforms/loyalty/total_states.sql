-- What the entries come to of the cards that were worked out again tonight.
-- grain: card_id, seq, program_id, reward_point_id
select
    entries.card_id,
    $seq as seq,
    entries.program_id,
    entries.reward_point_id,
    coalesce(sum(entries.points) filter (where entries.side = 'issued'), 0) as issued,
    -coalesce(sum(entries.points) filter (where entries.side = 'used'), 0) as used,
    -coalesce(sum(entries.points) filter (where entries.side = 'expired'), 0) as expired,
    coalesce(sum(entries.points) filter (where entries.side = 'written_off'), 0) as written_off
from loyalty._folded_entries as entries
inner join loyalty._restated_cards as cards
    on entries.card_id = cards.card_id
group by
    entries.card_id,
    entries.program_id,
    entries.reward_point_id

-- Points that earlier nights posted as issued, of the accounts that go on from their open lots, by day.
-- grain: card_id, program_id, reward_point_id, business_date, raises
-- why: no pass over tonight's tiers changes them.
select
    entries.card_id,
    entries.program_id,
    entries.reward_point_id,
    entries.entry_date as business_date,
    cast(sum(entries.points) * 100 as bigint) as points_h,
    coalesce(entries.corrected_type, entries.entry_type) in ('earn', 'adjust') and sum(entries.points) > 0 as raises
from loyalty.entries as entries
inner join loyalty._scope_cards as cards
    on entries.card_id = cards.card_id
    and not cards.again
    and not cards.only_due
where
    entries.side = 'issued'
    and coalesce(entries.corrected_type, entries.entry_type) in ('earn', 'return_earned', 'adjust')
group by
    entries.card_id,
    entries.program_id,
    entries.reward_point_id,
    entries.entry_date,
    coalesce(entries.corrected_type, entries.entry_type)

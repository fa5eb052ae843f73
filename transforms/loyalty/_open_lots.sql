-- Open lots of the accounts that go on from where they stood.
-- grain: lot_id
select
    lots.lot_id,
    cards.account_id,
    lots.card_id,
    lots.program_id,
    lots.reward_point_id,
    lots.earned_on,
    lots.usable_from,
    lots.expires_on,
    lots.event_id,
    lots.order_at,
    lots.order_document,
    lots.rank,
    lots.document_id,
    lots.line_no,
    lots.rule_id,
    cast((lots.points - lots.taken) * 100 as bigint) as remaining_h
from loyalty._lots_carried as lots
inner join loyalty._scope_cards as cards
    on lots.card_id = cards.card_id
where not cards.again

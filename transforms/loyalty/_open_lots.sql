-- Open lots of the accounts that go on from where they stood, as far as tonight can touch them.
-- grain: lot_id
-- why: where points only come, uncapped, nothing happens to a lot but that it may expire; the others stay as they are.
with

reached as (
    select cards.account_id
    from loyalty._events as events
    inner join loyalty._scope_cards as cards
        on events.card_id = cards.card_id
    inner join programme.reward_points as reward_points
        on events.version = reward_points.version
        and events.reward_point_id = reward_points.reward_point_id
    where
        events.points_h < 0
        or events.event_type not in ('earn', 'adjust')
        or reward_points.maximum_h is not null

    union

    select account_id
    from loyalty._moves
)

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
where
    not cards.again
    and (
        lots.expires_on <= $business_date
        or cards.account_id in (select account_id from reached)
    )

-- What the open lots of the cards are that were worked out again tonight, whatever older states say of them.
-- grain: card_id, seq, lot_id
with

cards as (
    select card_id
    from loyalty._restated_cards
),

lots as (
    select
        folded.card_id,
        folded.program_id,
        folded.reward_point_id,
        folded.lot_id,
        folded.earned_on,
        folded.usable_from,
        folded.expires_on,
        folded.entry_id,
        folded.event_id,
        folded.order_at,
        folded.order_document,
        folded.rank,
        folded.document_id,
        folded.line_no,
        folded.rule_id,
        folded.points,
        folded.points - folded.remaining as taken
    from loyalty._folded_lots as folded
    inner join cards
        on folded.card_id = cards.card_id
    where folded.remaining > 0

    union all by name

    select card_id
    from cards
)

select
    card_id,
    $seq as seq,
    lot_id,
    program_id,
    reward_point_id,
    earned_on,
    usable_from,
    expires_on,
    entry_id,
    event_id,
    order_at,
    order_document,
    rank,
    document_id,
    line_no,
    rule_id,
    points,
    taken
from lots

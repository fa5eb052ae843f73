-- What loyalty.lot_postings gains tonight: lots opened, and differences to lots opened before.
-- grain: lot_id, earned_on, usable_from, expires_on, card_id, program_id, reward_point_id
with

now as (
    select
        lot_id,
        card_id,
        program_id,
        reward_point_id,
        earned_on,
        usable_from,
        expires_on,
        event_id,
        entry_id,
        order_at,
        order_document,
        rank,
        document_id,
        line_no,
        rule_id,
        points,
        posted_date
    from loyalty._folded_lots
    where not carried
),

published as (
    select
        postings.lot_id,
        postings.card_id,
        postings.program_id,
        postings.reward_point_id,
        postings.earned_on,
        postings.usable_from,
        postings.expires_on,
        min(postings.event_id) as event_id,
        min(postings.entry_id) as entry_id,
        min(postings.order_at) as order_at,
        min(postings.order_document) as order_document,
        min(postings.rank) as rank,
        min(postings.document_id) as document_id,
        min(postings.line_no) as line_no,
        min(postings.rule_id) as rule_id,
        sum(postings.points) as points
    from loyalty.lot_postings as postings
    inner join loyalty._scope_cards as cards
        on postings.card_id = cards.card_id
        and cards.again
    group by all
),

matched as (
    select
        coalesce(now.lot_id, published.lot_id) as lot_id,
        coalesce(now.card_id, published.card_id) as card_id,
        coalesce(now.program_id, published.program_id) as program_id,
        coalesce(now.reward_point_id, published.reward_point_id) as reward_point_id,
        coalesce(now.earned_on, published.earned_on) as earned_on,
        coalesce(now.usable_from, published.usable_from) as usable_from,
        coalesce(now.expires_on, published.expires_on) as expires_on,
        coalesce(now.event_id, published.event_id) as event_id,
        coalesce(now.entry_id, published.entry_id) as entry_id,
        case when now.lot_id is null then published.order_at else now.order_at end as order_at,
        case when now.lot_id is null then published.order_document else now.order_document end as order_document,
        case when now.lot_id is null then published.rank else now.rank end as rank,
        case when now.lot_id is null then published.document_id else now.document_id end as document_id,
        case when now.lot_id is null then published.line_no else now.line_no end as line_no,
        case when now.lot_id is null then published.rule_id else now.rule_id end as rule_id,
        coalesce(now.points, 0) - coalesce(published.points, 0) as points,
        case when published.lot_id is null then now.posted_date else $business_date end as posted_date
    from now
    full outer join published
        on now.lot_id = published.lot_id
        and now.card_id = published.card_id
        and now.program_id = published.program_id
        and now.reward_point_id = published.reward_point_id
        and now.earned_on = published.earned_on
        and now.usable_from = published.usable_from
        and now.expires_on is not distinct from published.expires_on
)

select
    lot_id,
    $seq as seq,
    earned_on,
    usable_from,
    expires_on,
    card_id,
    program_id,
    reward_point_id,
    points,
    entry_id,
    event_id,
    order_at,
    order_document,
    rank,
    document_id,
    line_no,
    rule_id,
    posted_date
from matched
where points <> 0

-- Open lots of the accounts that go on from where they stood.
-- grain: lot_id
with

cards as (
    select
        card_id,
        account_id
    from loyalty._scope_cards
    where not again
),

opened as (
    select
        postings.lot_id,
        postings.card_id,
        postings.program_id,
        postings.reward_point_id,
        postings.earned_on,
        postings.usable_from,
        postings.expires_on,
        min(postings.event_id) as event_id,
        min(postings.order_at) as order_at,
        min(postings.order_document) as order_document,
        min(postings.rank) as rank,
        min(postings.document_id) as document_id,
        min(postings.line_no) as line_no,
        min(postings.rule_id) as rule_id,
        sum(postings.points) as points
    from loyalty.lot_postings as postings
    inner join cards
        on postings.card_id = cards.card_id
    group by
        postings.lot_id,
        postings.card_id,
        postings.program_id,
        postings.reward_point_id,
        postings.earned_on,
        postings.usable_from,
        postings.expires_on
    having sum(postings.points) <> 0
),

taken as (
    select
        allocations.lot_id,
        sum(allocations.points) as points
    from loyalty.allocations as allocations
    inner join cards
        on allocations.card_id = cards.card_id
    group by allocations.lot_id
)

select
    opened.lot_id,
    cards.account_id,
    opened.card_id,
    opened.program_id,
    opened.reward_point_id,
    opened.earned_on,
    opened.usable_from,
    opened.expires_on,
    opened.event_id,
    opened.order_at,
    opened.order_document,
    opened.rank,
    opened.document_id,
    opened.line_no,
    opened.rule_id,
    cast((opened.points - coalesce(taken.points, 0)) * 100 as bigint) as remaining_h
from opened
inner join cards
    on opened.card_id = cards.card_id
left join taken
    on opened.lot_id = taken.lot_id
where opened.points > coalesce(taken.points, 0)

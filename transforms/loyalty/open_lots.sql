-- Lots that still hold points.
-- grain: lot_id
-- why: each card's newest state and what was posted since; what is open does not grow with history. A card that was
-- worked out again has a state of that night, because a correction may open what an older state has left out.
with

bases as (
    select
        card_id,
        max(seq) as seq
    from loyalty.lot_states
    where lot_id is null
    group by card_id
),

states as (
    select states.*
    from loyalty.lot_states as states
    inner join bases
        on states.card_id = bases.card_id
        and states.seq = bases.seq
    where states.lot_id is not null
),

postings as (
    select
        postings.lot_id,
        postings.card_id,
        postings.program_id,
        postings.reward_point_id,
        postings.earned_on,
        postings.usable_from,
        postings.expires_on,
        postings.entry_id,
        postings.event_id,
        postings.order_at,
        postings.order_document,
        postings.rank,
        postings.document_id,
        postings.line_no,
        postings.rule_id,
        postings.points
    from loyalty.lot_postings as postings
    left join bases
        on postings.card_id = bases.card_id
    where
        postings.seq > $checkpoint
        and postings.seq > coalesce(bases.seq, 0)

    union all

    select
        lot_id,
        card_id,
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
        points
    from states
),

opened as (
    select
        lot_id,
        card_id,
        program_id,
        reward_point_id,
        earned_on,
        usable_from,
        expires_on,
        min(entry_id) as entry_id,
        min(event_id) as event_id,
        min(order_at) as order_at,
        min(order_document) as order_document,
        min(rank) as rank,
        min(document_id) as document_id,
        min(line_no) as line_no,
        min(rule_id) as rule_id,
        sum(points) as points
    from postings
    group by
        lot_id,
        card_id,
        program_id,
        reward_point_id,
        earned_on,
        usable_from,
        expires_on
    having sum(points) <> 0
),

pieces as (
    select
        allocations.lot_id,
        allocations.points
    from loyalty.allocations as allocations
    left join bases
        on allocations.card_id = bases.card_id
    where
        allocations.seq > $checkpoint
        and allocations.seq > coalesce(bases.seq, 0)

    union all

    select
        lot_id,
        taken as points
    from states
),

taken as (
    select
        lot_id,
        sum(points) as points
    from pieces
    group by lot_id
)

select
    opened.lot_id,
    opened.card_id,
    opened.program_id,
    opened.reward_point_id,
    opened.earned_on,
    opened.usable_from,
    opened.expires_on,
    opened.entry_id,
    opened.event_id,
    opened.order_at,
    opened.order_document,
    opened.rank,
    opened.document_id,
    opened.line_no,
    opened.rule_id,
    cast(opened.points as decimal(18, 2)) as points,
    cast(coalesce(taken.points, 0) as decimal(18, 2)) as taken
from opened
left join taken
    on opened.lot_id = taken.lot_id
where opened.points > coalesce(taken.points, 0)

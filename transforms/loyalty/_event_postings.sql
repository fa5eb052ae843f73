-- What loyalty.events gains tonight: new events, and for those known differently before the old one taken back.
-- grain: event_id, card_id, points
with

now as (
    select
        event_id,
        card_id,
        program_id,
        reward_point_id,
        event_type,
        business_date,
        occurred_at,
        cast(points_h * 0.01 as decimal(18, 2)) as points,
        usable_from,
        expires_on,
        document_id as transaction_id,
        line_no,
        rule_id,
        related_event_id,
        version as programme_version,
        case
            when greatest(posted_date, business_date) > $published_date then greatest(posted_date, business_date)
            else $business_date
        end as posted_date
    from loyalty._events
),

published as (
    select
        events.event_id,
        events.card_id,
        events.program_id,
        events.reward_point_id,
        events.event_type,
        events.business_date,
        events.occurred_at,
        events.usable_from,
        events.expires_on,
        events.transaction_id,
        events.line_no,
        events.rule_id,
        events.related_event_id,
        events.programme_version,
        sum(events.points) as points
    from loyalty.events as events
    inner join loyalty._scope_cards as cards
        on events.card_id = cards.card_id
        and cards.again
    group by all
    having sum(events.points) <> 0
),

same as (
    select
        now.event_id,
        now.card_id
    from now
    inner join published
        on now.event_id = published.event_id
        and now.card_id = published.card_id
        and now.points = published.points
        and now.business_date = published.business_date
        and now.usable_from is not distinct from published.usable_from
        and now.expires_on is not distinct from published.expires_on
        and now.occurred_at is not distinct from published.occurred_at
        and now.reward_point_id = published.reward_point_id
),

changes as (
    select now.*
    from now
    anti join same
        on now.event_id = same.event_id
        and now.card_id = same.card_id

    union all by name

    select
        published.* exclude (points),
        -published.points as points,
        $business_date as posted_date
    from published
    anti join same
        on published.event_id = same.event_id
        and published.card_id = same.card_id
)

select
    event_id,
    card_id,
    $seq as seq,
    points,
    program_id,
    reward_point_id,
    event_type,
    business_date,
    occurred_at,
    usable_from,
    expires_on,
    transaction_id,
    line_no,
    rule_id,
    related_event_id,
    programme_version,
    posted_date
from changes

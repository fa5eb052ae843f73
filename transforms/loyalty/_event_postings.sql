-- What loyalty.events gains tonight: new events, and for those known differently before the old one taken back.
-- grain: event_id, card_id, points
-- why: what a refund, a transfer or a replaced card moved is known by the fold only, so those events are what was posted.
with

named as (
    select
        event_id,
        min(business_date) as business_date,
        min(occurred_at) as occurred_at,
        min(related_event_id) as related_event_id,
        min(version) as version
    from loyalty._moves
    group by event_id
),

moved as (
    select
        entries.event_id,
        entries.card_id,
        entries.program_id,
        entries.reward_point_id,
        case when entries.entry_type = 'refund' then 'refund' else 'transfer' end as event_type,
        entries.entry_date as business_date,
        named.occurred_at,
        sum(entries.points) as points,
        cast(null as date) as usable_from,
        cast(null as date) as expires_on,
        entries.transaction_id,
        entries.line_no,
        cast(null as varchar) as rule_id,
        named.related_event_id,
        named.version as programme_version,
        min(entries.posted_date) as posted_date
    from loyalty._folded_entries as entries
    left join named
        on entries.event_id = named.event_id
    where entries.entry_type in ('refund', 'transfer_in', 'transfer_out')
    group by all
    having sum(entries.points) <> 0
),

said as (
    select
        event_id,
        card_id,
        program_id,
        reward_point_id,
        event_type,
        business_date,
        occurred_at,
        points,
        usable_from,
        expires_on,
        transaction_id,
        line_no,
        rule_id,
        related_event_id,
        programme_version,
        posted_date
    from loyalty._folded_events
),

now as (
    select * from said
    union all
    select * from moved
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
        and now.program_id = published.program_id
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

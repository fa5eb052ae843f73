-- Everything that changes points in tonight's scope, in the total order of each account.
-- grain: event_id, card_id
-- why: spec 2-loyalty section 1 gives the order; a return that comes before its original acts directly after it.
with

documents as (
    select
        document_no,
        document_id,
        card_id,
        business_date,
        occurred_at,
        posted_date,
        version
    from loyalty._documents
),

earned as (
    select
        case when earned.direction = 1 then 'earn:' else 'return:' end
        || documents.document_id || ':' || earned.line_no || ':' || rules.rule_id as event_id,
        documents.card_id,
        rules.program_id,
        rules.reward_point_id,
        case when earned.direction = 1 then 'earn' else 'return_earned' end as event_type,
        documents.business_date,
        documents.occurred_at,
        earned.points_h,
        case when earned.direction = 1 then dates.usable_from end as usable_from,
        case when earned.direction = 1 then dates.expires_on end as expires_on,
        documents.document_id,
        earned.line_no,
        rules.rule_id,
        cast(null as varchar) as related_event_id,
        documents.version,
        documents.posted_date,
        case when earned.direction = 1 then 6 else 2 end as rank,
        documents.occurred_at as order_at,
        documents.document_id as order_document
    from loyalty._earned_lines as earned
    inner join loyalty._applicable_rules as applications
        on earned.application_no = applications.application_no
    inner join loyalty._rules as rules
        on applications.rule_no = rules.rule_no
    inner join documents
        on applications.document_no = documents.document_no
    inner join programme.point_dates as dates
        on documents.business_date = dates.business_date
        and rules.reward_point_id = dates.reward_point_id
),

taken_back as (
    select
        'return:'
        || taken.document_id || ':' || taken.line_no || ':' || taken.program_id || ':' || taken.reward_point_id || ':'
        || taken.card_id as event_id,
        taken.card_id,
        taken.program_id,
        taken.reward_point_id,
        'return_earned' as event_type,
        greatest(documents.business_date, originals.business_date) as business_date,
        documents.occurred_at,
        -taken.points_h as points_h,
        cast(null as date) as usable_from,
        cast(null as date) as expires_on,
        taken.document_id,
        taken.line_no,
        cast(null as varchar) as rule_id,
        'line:' || taken.original_document_id || ':' || taken.original_line_no as related_event_id,
        documents.version,
        greatest(documents.posted_date, originals.posted_date) as posted_date,
        (documents.business_date, coalesce(documents.occurred_at, timestamptz '0001-01-01'), taken.document_id)
        < (originals.business_date, coalesce(originals.occurred_at, timestamptz '0001-01-01'), taken.original_document_id)
            as comes_first,
        originals.occurred_at as original_occurred_at,
        taken.original_document_id
    from loyalty._linked_returns as taken
    inner join documents
        on taken.document_id = documents.document_id
    inner join documents as originals
        on taken.original_document_id = originals.document_id
    where taken.points_h <> 0
),

redeemed as (
    select
        'redeem:' || documents.document_id || ':' || redemptions.tender_no || ':' || redemptions.rule_id as event_id,
        redemptions.card_id,
        redemptions.program_id,
        redemptions.reward_point_id,
        'redeem' as event_type,
        documents.business_date,
        documents.occurred_at,
        -cast(redemptions.points * 100 as bigint) as points_h,
        cast(null as date) as usable_from,
        cast(null as date) as expires_on,
        documents.document_id,
        cast(null as integer) as line_no,
        redemptions.rule_id,
        cast(null as varchar) as related_event_id,
        documents.version,
        documents.posted_date,
        1 as rank,
        documents.occurred_at as order_at,
        documents.document_id as order_document
    from loyalty._redemptions as redemptions
    inner join documents
        on redemptions.document_no = documents.document_no
    where
        redemptions.reason is null
        and redemptions.points <> 0
),

adjusted as (
    select
        'adjust:' || adjustments.adjustment_id as event_id,
        adjustments.card_id,
        adjustments.program_id,
        adjustments.reward_point_id,
        'adjust' as event_type,
        adjustments.business_date,
        cast(null as timestamptz) as occurred_at,
        cast(adjustments.points * 100 as bigint) as points_h,
        case when adjustments.points > 0 then adjustments.business_date end as usable_from,
        case when adjustments.points > 0 then dates.expires_on end as expires_on,
        adjustments.adjustment_id as document_id,
        cast(null as integer) as line_no,
        cast(null as varchar) as rule_id,
        cast(null as varchar) as related_event_id,
        calendar.version,
        adjustments.posted_date,
        4 as rank,
        cast(null as timestamptz) as order_at,
        adjustments.adjustment_id as order_document
    from loyalty._adjustments as adjustments
    inner join programme.calendar as calendar
        on adjustments.business_date = calendar.business_date
    inner join programme.point_dates as dates
        on adjustments.business_date = dates.business_date
        and adjustments.reward_point_id = dates.reward_point_id
    where
        adjustments.points <> 0
        and (
            adjustments.seq > $since
            or adjustments.business_date > $since_date
            or adjustments.card_id in (select card_id from loyalty._scope_cards where again)
        )
),

all_events as (
    select * from earned
    union all by name
    select
        event_id,
        card_id,
        program_id,
        reward_point_id,
        event_type,
        business_date,
        occurred_at,
        points_h,
        usable_from,
        expires_on,
        document_id,
        line_no,
        rule_id,
        related_event_id,
        version,
        posted_date,
        case when comes_first then 7 else 2 end as rank,
        case when comes_first then original_occurred_at else occurred_at end as order_at,
        case when comes_first then original_document_id else document_id end as order_document
    from taken_back
    union all by name
    select * from redeemed
    union all by name
    select * from adjusted
)

select
    accounts.account_id,
    accounts.again,
    all_events.event_id,
    all_events.card_id,
    all_events.program_id,
    all_events.reward_point_id,
    all_events.event_type,
    all_events.business_date,
    all_events.occurred_at,
    all_events.points_h,
    all_events.usable_from,
    all_events.expires_on,
    all_events.document_id,
    all_events.line_no,
    all_events.rule_id,
    all_events.related_event_id,
    all_events.version,
    all_events.posted_date,
    all_events.rank,
    all_events.order_at,
    all_events.order_document
from all_events
inner join loyalty._scope_cards as accounts
    on all_events.card_id = accounts.card_id

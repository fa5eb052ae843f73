-- Everything that changes points in tonight's scope, in the total order of each account.
-- grain: event_id, card_id
-- why: spec 2-loyalty section 1 gives the order; a return that comes before its original acts directly after it. What
-- befalls a replaced card befalls the one that owns its points that day. Of an account that goes on from its open lots
-- only what tonight's documents say is new. How much a refund or a transfer moves only the fold knows (_moves).
with

documents as (
    select
        document_no,
        document_id,
        activity_type is null as is_sale,
        changed,
        card_id,
        business_date,
        occurred_at,
        posted_date,
        version
    from loyalty._documents
),

earned as (
    select
        case
            when not documents.is_sale then 'activity:' || documents.document_id
            when earned.direction = 1 then 'earn:' || documents.document_id || ':' || earned.line_no
            else 'return:' || documents.document_id || ':' || earned.line_no
        end
        || ':' || rules.rule_id as event_id,
        documents.card_id,
        rules.program_id,
        rules.reward_point_id,
        case when earned.direction = 1 then 'earn' else 'return_earned' end as event_type,
        documents.business_date,
        documents.occurred_at,
        earned.points_h,
        case
            when earned.direction = 1
                then case when rules.ignore_vesting then documents.business_date else dates.usable_from end
        end as usable_from,
        case when earned.direction = 1 then dates.expires_on end as expires_on,
        documents.document_id,
        case when documents.is_sale then earned.line_no end as line_no,
        rules.rule_id,
        cast(null as varchar) as related_event_id,
        documents.version,
        documents.posted_date,
        documents.changed,
        case when earned.direction = 1 then 6 else 2 end as rank,
        documents.occurred_at as order_at,
        documents.document_id as order_document,
        case
            when capped.reward_point_id is not null then 'line:' || documents.document_id || ':' || earned.line_no
        end as line_id
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
    left join (
        select distinct reward_point_id
        from programme.reward_points
        where maximum_h is not null
    ) as capped
        on rules.reward_point_id = capped.reward_point_id
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
        false as changed,
        (documents.business_date, coalesce(documents.occurred_at, timestamptz '0001-01-01'), taken.document_id)
        <= (originals.business_date, coalesce(originals.occurred_at, timestamptz '0001-01-01'), taken.original_document_id)
            as comes_first, -- its own receipt's lines, too, earn after it would take back
        originals.occurred_at as original_occurred_at,
        taken.original_document_id,
        taken.original_line_no,
        taken.before_milli,
        taken.after_milli,
        taken.original_milli,
        taken.unit_h
    from loyalty._linked_returns as taken
    inner join documents
        on taken.document_id = documents.document_id
        and documents.is_sale
    inner join documents as originals
        on taken.original_document_id = originals.document_id
        and originals.is_sale
    where
        taken.points_h <> 0
        or taken.reward_point_id in (select reward_point_id from programme.reward_points where maximum_h is not null)
),

redeemed as (
    select
        'redeem:' || documents.document_id || ':' || redemptions.tender_no || ':'
        || coalesce(redemptions.rule_id, 'released') as event_id,
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
        documents.changed,
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
        adjustments.is_new as changed,
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
        and adjustments.card_id in (select card_id from loyalty._cards)
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
        changed,
        case when comes_first then 7 else 2 end as rank,
        case when comes_first then original_occurred_at else occurred_at end as order_at,
        case when comes_first then original_document_id else document_id end as order_document,
        'line:' || original_document_id || ':' || original_line_no as line_id,
        before_milli,
        after_milli,
        original_milli,
        unit_h
    from taken_back
    union all by name
    select * from redeemed
    union all by name
    select * from adjusted
),

owned as (
    select
        all_events.* exclude (card_id),
        coalesce(replaced.owner_card_id, all_events.card_id) as card_id
    from all_events
    left join loyalty._replaced as replaced
        on all_events.card_id = replaced.card_id
        and all_events.business_date between replaced.owned_from and replaced.owned_to
)

select
    accounts.account_id,
    accounts.again,
    owned.event_id,
    owned.card_id,
    owned.program_id,
    owned.reward_point_id,
    owned.event_type,
    owned.business_date,
    owned.occurred_at,
    owned.points_h,
    owned.usable_from,
    owned.expires_on,
    owned.document_id,
    owned.line_no,
    owned.rule_id,
    owned.related_event_id,
    owned.version,
    owned.posted_date,
    owned.rank,
    owned.order_at,
    owned.order_document,
    owned.line_id,
    owned.before_milli,
    owned.after_milli,
    owned.original_milli,
    owned.unit_h
from owned
inner join loyalty._scope_cards as accounts
    on owned.card_id = accounts.card_id
where
    accounts.again
    or owned.changed

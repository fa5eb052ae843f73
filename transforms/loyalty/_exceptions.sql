-- Effects on points that could not be honoured, of the documents worked out tonight.
-- grain: transaction_id, card_id, reason
with

documents as (
    select
        document_no,
        document_id,
        card_id,
        business_date
    from loyalty._documents
),

known as (
    select
        document_no,
        card_id,
        bool_or(card_type = 'blocked') as blocked
    from loyalty._enrolments
    group by
        document_no,
        card_id
),

earning as (
    select distinct lines.document_no
    from loyalty._lines as lines
    where
        lines.kind = 'sale'
        or lines.kind = 'return'
        and lines.original_transaction_id is null
),

cards as (
    select
        documents.document_id,
        documents.card_id,
        case when known.card_id is null then 'unknown_card' else 'blocked_card' end as reason,
        'the card on the receipt' as detail,
        documents.business_date
    from documents
    inner join earning
        on documents.document_no = earning.document_no
    left join known
        on documents.document_no = known.document_no
        and documents.card_id = known.card_id
    where
        documents.card_id is not null
        and (known.card_id is null or known.blocked)
),

tenders as (
    select
        documents.document_id,
        redemptions.card_id,
        redemptions.reason,
        'tender ' || redemptions.tender_no || ' of ' || redemptions.points || ' '
        || coalesce(redemptions.reward_point_id, 'no reward point') as detail,
        documents.business_date
    from loyalty._redemptions as redemptions
    inner join documents
        on redemptions.document_no = documents.document_no
    where redemptions.reason is not null
),

originals as (
    select
        documents.document_id,
        documents.card_id,
        'original_unknown' as reason,
        'line ' || lines.line_no || ' brings back ' || lines.original_transaction_id || ' line '
        || coalesce(cast(lines.original_line_no as varchar), '?') as detail,
        documents.business_date
    from loyalty._lines as lines
    inner join documents
        on lines.document_no = documents.document_no
    left join sales.lines as sold
        on lines.original_transaction_id = sold.transaction_id
        and lines.original_line_no = sold.line_no
    where
        lines.kind = 'return'
        and lines.original_transaction_id is not null
        and sold.transaction_id is null
),

rates as (
    select distinct
        documents.document_id,
        documents.card_id,
        'missing_rate' as reason,
        'rule ' || rules.rule_id || ': no rate to ' || rules.currency as detail,
        documents.business_date
    from loyalty._applicable_rules as applications
    inner join loyalty._rules as rules
        on applications.rule_no = rules.rule_no
    inner join documents
        on applications.document_no = documents.document_no
    where applications.rate is null
),

refunds as (
    select
        documents.document_id,
        tenders.card_id,
        'refund_unmatched' as reason,
        'tender ' || tenders.tender_no || ' of ' || tenders.points || ' ' || coalesce(tenders.reward_point_id, '') as detail,
        documents.business_date
    from loyalty._tenders as tenders
    inner join documents
        on tenders.document_no = documents.document_no
    where tenders.amount < 0
),

overdrawn as (
    select
        overdrawn.document_id,
        pools.card_id,
        'overdrawn' as reason,
        cast(sum(overdrawn.uncovered_h) * 0.01 as decimal(18, 2)) || ' points more than there were' as detail,
        min(overdrawn.business_date) as business_date
    from loyalty._overdrawn as overdrawn
    inner join loyalty._pools as pools
        on overdrawn.pool = pools.pool
    group by
        overdrawn.document_id,
        pools.card_id
),

adjustments as (
    select
        adjustments.adjustment_id as document_id,
        adjustments.card_id,
        'unknown_card' as reason,
        'the adjustment''s card' as detail,
        adjustments.business_date
    from loyalty._adjustments as adjustments
    left join loyalty._accounts as accounts
        on adjustments.card_id = accounts.card_id
    where accounts.card_id is null
),

found as (
    select * from cards
    union all by name
    select * from tenders
    union all by name
    select * from originals
    union all by name
    select * from rates
    union all by name
    select * from refunds
    union all by name
    select * from overdrawn
    union all by name
    select * from adjustments
)

select
    document_id as transaction_id,
    card_id,
    reason,
    min(detail) as detail,
    min(business_date) as business_date
from found
group by
    document_id,
    card_id,
    reason

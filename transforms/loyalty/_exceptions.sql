-- Effects on points that could not be honoured, of the documents worked out tonight.
-- grain: transaction_id, card_id, reason
with

documents as (
    select
        document_no,
        document_id,
        activity_type,
        card_id,
        business_date,
        changed
    from loyalty._documents
),

known as (
    select
        document_no,
        card_id,
        min(refusal) as refusal
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

    union

    select document_no
    from documents
    where activity_type is not null
),

cards as (
    select
        documents.document_id,
        documents.card_id,
        case when known.card_id is null then 'unknown_card' else known.refusal end as reason,
        case when documents.activity_type is null then 'the card on the receipt' else 'the card of the activity' end as detail,
        documents.business_date
    from documents
    inner join earning
        on documents.document_no = earning.document_no
    left join known
        on documents.document_no = known.document_no
        and documents.card_id = known.card_id
    where
        documents.card_id is not null
        and (known.card_id is null or known.refusal is not null)
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
    inner join loyalty._matching_lines as lines -- what a linked return takes back is known in points, and not among them
        on applications.application_no = lines.application_no
    where applications.rate is null
),

too_large as (
    select distinct
        documents.document_id,
        documents.card_id,
        'too_large' as reason,
        'rule ' || rules.rule_id || ': a million million points or more' as detail,
        documents.business_date
    from loyalty._rule_points as paid
    inner join loyalty._applicable_rules as applications
        on paid.application_no = applications.application_no
    inner join loyalty._rules as rules
        on applications.rule_no = rules.rule_no
    inner join documents
        on applications.document_no = documents.document_no
    where paid.units is null
),

-- Refunds of what a card paid whose account is not worked out again tonight.
elsewhere as (
    select distinct lines.document_no
    from loyalty._lines as lines
    inner join sales.tenders as tenders
        on lines.original_transaction_id = tenders.transaction_id
    inner join sales.transactions as transactions
        on tenders.transaction_id = transactions.transaction_id
    inner join loyalty._accounts as accounts
        on coalesce(tenders.loyalty_card_id, transactions.loyalty_card_id) = accounts.card_id
    left join loyalty._scope_cards as scope
        on accounts.card_id = scope.card_id
    where
        lines.kind = 'return'
        and tenders.type = 'loyalty'
        and tenders.amount > 0
        and not coalesce(scope.again, false)
),

-- Returns that wait, and their refunds with them: none of what they bring back is known.
waiting as (
    select lines.document_no
    from loyalty._lines as lines
    left join sales.lines as sold
        on lines.original_transaction_id = sold.transaction_id
        and lines.original_line_no = sold.line_no
    where
        lines.kind = 'return'
        and lines.original_transaction_id is not null
    group by lines.document_no
    having count(sold.transaction_id) = 0
),

refund_tenders as (
    select
        documents.document_id,
        tenders.document_no,
        tenders.tender_no,
        tenders.card_id,
        tenders.reward_point_id,
        abs(tenders.points) as points,
        documents.business_date
    from loyalty._tenders as tenders
    inner join documents
        on tenders.document_no = documents.document_no
    where tenders.amount < 0
),

left_over as (
    select
        numbers.tender_key,
        min(uncovered.uncovered_h) as uncovered_h
    from loyalty._uncovered as uncovered
    inner join loyalty._tender_numbers as numbers
        on uncovered.partner = numbers.tender
    where uncovered.event_type = 'refund'
    group by numbers.tender_key
),

refunds as (
    select
        tenders.document_id,
        tenders.card_id,
        'refund_unmatched' as reason,
        'tender ' || tenders.tender_no || ' of ' || tenders.points || ' ' || coalesce(tenders.reward_point_id, '')
        || case
            when left_over.uncovered_h is null then ''
            else ', ' || cast(left_over.uncovered_h * 0.01 as decimal(18, 2)) || ' of them'
        end as detail,
        tenders.business_date
    from refund_tenders as tenders
    left join left_over
        on tenders.document_id || ':' || tenders.tender_no = left_over.tender_key
    where
        coalesce(left_over.uncovered_h, tenders.points * 100) > 0
        and tenders.document_no not in (select document_no from waiting)
        and tenders.document_no not in (select document_no from elsewhere)
),

overdrawn as (
    select
        overdrawn.document_id,
        pools.card_id,
        'overdrawn' as reason,
        cast(sum(overdrawn.uncovered_h) * 0.01 as decimal(18, 2)) || ' points more than there were' as detail,
        min(overdrawn.business_date) as business_date
    from loyalty._uncovered as overdrawn
    inner join loyalty._pools as pools
        on overdrawn.pool = pools.pool
    where overdrawn.event_type = 'redeem'
    group by
        overdrawn.document_id,
        pools.card_id
),

worked_transfers as (
    select distinct document_id
    from loyalty._moves
    where event_type = 'transfer'
),

transfers as (
    select
        transfer_id as document_id,
        refused_card_id as card_id,
        reason,
        'the transfer from ' || from_card_id || ' to ' || to_card_id || ' of ' || reward_point_id as detail,
        business_date
    from loyalty._judged_transfers
    where reason is not null

    union all

    select
        transfers.transfer_id as document_id,
        transfers.from_card_id as card_id,
        'insufficient_points' as reason,
        'of ' || transfers.points || ' asked '
        || cast(coalesce(short.uncovered_h * 0.01, transfers.points) as decimal(18, 2)) || ' were not there' as detail,
        transfers.business_date
    from loyalty._judged_transfers as transfers
    left join loyalty._uncovered as short
        on transfers.transfer_id = short.document_id
        and short.event_type = 'transfer'
    left join loyalty._scope_cards as scope
        on transfers.giving_card_id = scope.card_id
    where
        transfers.reason is null
        and transfers.points > 0
        and transfers.giving_card_id <> transfers.taking_card_id
        and (scope.again or transfers.is_new)
        and (
            short.document_id is not null
            or transfers.transfer_id not in (select document_id from worked_transfers)
        )
),

adjustments as (
    select
        adjustments.adjustment_id as document_id,
        adjustments.card_id,
        case when cards.card_id is null then 'unknown_card' else 'unknown_reward_point' end as reason,
        case
            when cards.card_id is null then 'the adjustment''s card'
            else 'the adjustment''s reward point ' || adjustments.reward_point_id
        end as detail,
        adjustments.business_date
    from loyalty._adjustments as adjustments
    inner join programme.calendar as calendar
        on adjustments.business_date = calendar.business_date
    left join programme.reward_points as reward_points
        on calendar.version = reward_points.version
        and adjustments.reward_point_id = reward_points.reward_point_id
    left join (select distinct card_id from loyalty._cards) as cards
        on adjustments.card_id = cards.card_id
    where
        cards.card_id is null
        or reward_points.reward_point_id is null
),

-- What only the fold finds out stands as it was where the account was not folded over these documents tonight.
standing as (
    select
        published.transaction_id as document_id,
        published.card_id,
        published.reason,
        published.detail,
        published.business_date
    from loyalty.exceptions as published
    inner join loyalty._worked_out as worked_out
        on published.transaction_id = worked_out.document_id
    left join loyalty._scope_cards as scope
        on published.card_id = scope.card_id
    left join documents
        on published.transaction_id = documents.document_id
        and documents.activity_type is null
    left join loyalty._transfers as transfers
        on published.transaction_id = transfers.transfer_id
    where
        published.reason = 'overdrawn'
        and not coalesce(scope.again or documents.changed, false)
        or published.reason = 'insufficient_points'
        and not coalesce(scope.again or transfers.is_new, false)
        or published.reason = 'refund_unmatched'
        and documents.document_no in (select document_no from elsewhere)
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
    select * from too_large
    union all by name
    select * from refunds
    union all by name
    select * from overdrawn
    union all by name
    select * from transfers
    union all by name
    select * from adjustments
    union all by name
    select * from standing
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

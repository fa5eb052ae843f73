-- Refunds and transfers of tonight's scope: what they may move is known, how much the fold finds out.
-- grain: event_id
-- why: a refund gives back what the redeem events of the transactions that its return lines name took, in line order; a
-- transfer has a step for each program that the giving card is in (spec 2-loyalty sections 4 and 5).
with

documents as (
    select
        document_no,
        document_id,
        business_date,
        occurred_at,
        posted_date,
        version
    from loyalty._documents
    where activity_type is null
),

tenders as (
    select
        tenders.document_no,
        documents.document_id,
        tenders.tender_no,
        tenders.card_id,
        tenders.reward_point_id,
        cast(abs(tenders.points) * 100 as bigint) as points_h,
        documents.business_date,
        documents.occurred_at,
        documents.posted_date,
        documents.version
    from loyalty._tenders as tenders
    inner join documents
        on tenders.document_no = documents.document_no
    where
        tenders.amount < 0
        and tenders.points <> 0
),

named as (
    select
        document_no,
        original_transaction_id as original_document_id,
        min(line_no) as line_no
    from loyalty._lines
    where
        kind = 'return'
        and original_transaction_id is not null
    group by
        document_no,
        original_transaction_id
),

redeemed as (
    select
        documents.document_id,
        'redeem:' || documents.document_id || ':' || redemptions.tender_no || ':'
        || coalesce(redemptions.rule_id, 'released') as event_id,
        redemptions.card_id,
        redemptions.program_id,
        redemptions.reward_point_id,
        documents.business_date,
        documents.occurred_at,
        documents.posted_date
    from loyalty._redemptions as redemptions
    inner join documents
        on redemptions.document_no = documents.document_no
    where
        redemptions.reason is null
        and redemptions.points <> 0
),

matched as (
    select
        'refund:' || tenders.document_id || ':' || tenders.tender_no || ':' || named.line_no as event_id,
        redeemed.card_id,
        redeemed.program_id,
        redeemed.reward_point_id,
        greatest(tenders.business_date, redeemed.business_date) as business_date,
        tenders.occurred_at,
        tenders.points_h,
        tenders.document_id,
        named.line_no,
        redeemed.event_id as related_event_id,
        tenders.version,
        greatest(tenders.posted_date, redeemed.posted_date) as posted_date,
        (tenders.business_date, coalesce(tenders.occurred_at, timestamptz '0001-01-01'), tenders.document_id)
        < (redeemed.business_date, coalesce(redeemed.occurred_at, timestamptz '0001-01-01'), redeemed.document_id)
            as comes_first,
        redeemed.occurred_at as original_occurred_at,
        redeemed.document_id as original_document_id,
        redeemed.event_id as source_key,
        tenders.document_id || ':' || tenders.tender_no as tender_key
    from tenders
    inner join named
        on tenders.document_no = named.document_no
    inner join redeemed
        on named.original_document_id = redeemed.document_id
        and coalesce(tenders.reward_point_id, redeemed.reward_point_id) = redeemed.reward_point_id
),

first_points as (
    select
        version,
        reward_point_id
    from programme.reward_points
    where redeemable
    qualify row_number() over (partition by version order by redeem_ranking nulls last, reward_point_id) = 1
),

released as (
    select
        'refund:' || tenders.document_id || ':' || tenders.tender_no || ':released' as event_id,
        tenders.card_id,
        min(enrolments.program_id) as program_id,
        coalesce(tenders.reward_point_id, first_points.reward_point_id) as reward_point_id,
        tenders.business_date,
        tenders.occurred_at,
        tenders.points_h,
        tenders.document_id,
        cast(2147483647 as integer) as line_no,
        cast(null as varchar) as related_event_id,
        tenders.version,
        tenders.posted_date,
        false as comes_first,
        cast(null as timestamptz) as original_occurred_at,
        cast(null as varchar) as original_document_id,
        cast(null as varchar) as source_key,
        tenders.document_id || ':' || tenders.tender_no as tender_key
    from tenders
    inner join loyalty._releases as releases
        on tenders.document_id = releases.document_id
        and tenders.card_id = releases.card_id
        and releases.reason = 'refund_unmatched'
    inner join loyalty._enrolments as enrolments
        on tenders.document_no = enrolments.document_no
        and tenders.card_id = enrolments.card_id
    left join first_points
        on tenders.version = first_points.version
    group by all
),

refunds as (
    select * from matched
    union all by name
    select * from released
),

moves as (
    select
        refunds.event_id,
        'refund' as event_type,
        coalesce(replaced.owner_card_id, refunds.card_id) as card_id,
        refunds.program_id,
        refunds.reward_point_id,
        cast(null as varchar) as other_card_id,
        refunds.business_date,
        refunds.occurred_at,
        refunds.points_h,
        refunds.business_date as usable_from,
        dates.expires_on,
        refunds.document_id,
        refunds.line_no,
        refunds.related_event_id,
        refunds.version,
        refunds.posted_date,
        case when refunds.comes_first then 8 else 3 end as rank,
        case when refunds.comes_first then refunds.original_occurred_at else refunds.occurred_at end as order_at,
        case when refunds.comes_first then refunds.original_document_id else refunds.document_id end as order_document,
        refunds.source_key,
        refunds.tender_key,
        false as restarts,
        false as is_new
    from refunds
    left join loyalty._replaced as replaced
        on refunds.card_id = replaced.card_id
        and refunds.business_date between replaced.owned_from and replaced.owned_to
    inner join programme.point_dates as dates
        on refunds.business_date = dates.business_date
        and refunds.reward_point_id = dates.reward_point_id

    union all by name

    select
        'transfer:' || transfers.transfer_id || ':' || cards.program_id as event_id,
        'transfer' as event_type,
        transfers.giving_card_id as card_id,
        cards.program_id,
        transfers.reward_point_id,
        transfers.taking_card_id as other_card_id,
        transfers.business_date,
        cast(null as timestamptz) as occurred_at,
        cast(coalesce(transfers.points, 0) * 100 as bigint) as points_h,
        dates.usable_from,
        dates.expires_on,
        transfers.transfer_id as document_id,
        cast(null as integer) as line_no,
        cast(null as varchar) as related_event_id,
        transfers.version,
        transfers.posted_date,
        5 as rank,
        cast(null as timestamptz) as order_at,
        transfers.transfer_id as order_document,
        'transfer:' || transfers.transfer_id as source_key,
        cast(null as varchar) as tender_key,
        parameters.transfer_expiry = 'restart' as restarts,
        transfers.is_new
    from loyalty._judged_transfers as transfers
    inner join reference.loyalty_cards as cards
        on transfers.giving_card_id = cards.card_id
        and transfers.business_date between cards.valid_from and cards.valid_to
        and transfers.business_date >= cards.enrolled_from
        and (cards.enrolled_to is null or transfers.business_date <= cards.enrolled_to)
    inner join programme.parameters as parameters
        on transfers.version = parameters.version
    inner join programme.point_dates as dates
        on transfers.business_date = dates.business_date
        and transfers.reward_point_id = dates.reward_point_id
    where
        transfers.reason is null
        and transfers.giving_card_id <> transfers.taking_card_id
        and coalesce(transfers.points, 1) > 0
)

select
    accounts.account_id,
    moves.*
from moves
inner join loyalty._scope_cards as accounts
    on moves.card_id = accounts.card_id
where
    accounts.again
    or moves.is_new

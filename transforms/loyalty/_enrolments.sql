-- Each document's card, and the paying cards, in each program they are in that day, and why such a card is refused.
-- grain: document_no, card_id, program_id
-- why: a replaced card is blocked from that day on; a card of a customer who is still pending waits, and one given to a
-- customer who was blocked for enrollment then, and still is, is none (spec 2-loyalty section 2). A release lets it pass.
with

named as (
    select
        document_no,
        card_id
    from loyalty._documents
    where card_id is not null

    union

    select
        document_no,
        card_id
    from loyalty._tenders
    where card_id is not null
),

customers as (
    select
        account,
        status,
        coalesce(block_loyalty_enrollment, false) as blocked,
        valid_from,
        valid_to
    from customers.customers
    where
        status = 'pending'
        or block_loyalty_enrollment
),

standing as (
    select
        named.document_no,
        named.card_id,
        documents.document_id,
        documents.business_date,
        cards.program_id,
        cards.enrolled_from,
        cards.enrolled_to,
        holders.card_type,
        holders.customer_id,
        coalesce(documents.customer_id, holders.customer_id) as earning_customer_id,
        holders.card_type = 'blocked' or replaced.card_id is not null as blocked,
        customers.status is not distinct from 'pending'
        or regexp_matches(
            coalesce(holders.customer_id, ''),
            '^[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}$'
        ) as pending,
        coalesce(customers.blocked and at_enrolment.blocked, false) as enrollment_blocked
    from named
    inner join loyalty._documents as documents
        on named.document_no = documents.document_no
    inner join reference.loyalty_cards as cards
        on named.card_id = cards.card_id
        and documents.business_date between cards.valid_from and cards.valid_to
    inner join loyalty._cards as holders
        on named.card_id = holders.card_id
        and documents.business_date between holders.valid_from and holders.valid_to
    left join loyalty._replaced as replaced
        on named.card_id = replaced.card_id
        and documents.business_date between replaced.owned_from and replaced.owned_to
    left join customers
        on holders.customer_id = customers.account
        and documents.business_date >= customers.valid_from
        and documents.business_date < customers.valid_to
    left join customers as at_enrolment
        on holders.customer_id = at_enrolment.account
        and cards.enrolled_from >= at_enrolment.valid_from
        and cards.enrolled_from < at_enrolment.valid_to
),

releases as (
    select
        document_id,
        card_id,
        bool_or(reason = 'blocked_card') as blocked,
        bool_or(reason = 'customer_pending') as pending,
        bool_or(reason = 'enrollment_blocked') as enrollment_blocked
    from loyalty._releases
    group by
        document_id,
        card_id
)

select
    standing.document_no,
    standing.card_id,
    standing.program_id,
    standing.card_type,
    standing.customer_id,
    standing.earning_customer_id,
    standing.business_date >= standing.enrolled_from
    and (standing.enrolled_to is null or standing.business_date <= standing.enrolled_to) as enrolled,
    case
        when standing.blocked and not coalesce(releases.blocked, false) then 'blocked_card'
        when standing.pending and not coalesce(releases.pending, false) then 'customer_pending'
        when standing.enrollment_blocked and not coalesce(releases.enrollment_blocked, false) then 'enrollment_blocked'
    end as refusal
from standing
left join releases
    on standing.document_id = releases.document_id
    and standing.card_id = releases.card_id

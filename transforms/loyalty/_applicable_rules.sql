-- The earning rules that apply to each document.
-- grain: document_no, rule_no; application_no is their number, the same whichever documents are worked out with them
-- why: all rules that apply add up; a rule of a lower tier is not inherited (spec 2-loyalty section 3, steps 1 and 2).
with

documents as (
    select
        document_no,
        activity_type,
        channel_id,
        business_date,
        card_id,
        currency,
        version
    from loyalty._documents
),

enrolments as (
    select
        document_no,
        card_id,
        program_id
    from loyalty._enrolments
    where
        enrolled
        and refusal is null
),

excluded as (
    select distinct
        affiliated.document_no,
        affiliated.card_id,
        excluded.scheme_id
    from loyalty._affiliated as affiliated
    inner join documents
        on affiliated.document_no = documents.document_no
    inner join programme.excluded_affiliations as excluded
        on documents.version = excluded.version
        and affiliated.affiliation_id = excluded.affiliation_id
)

select
    documents.document_no * 1048576 + rules.rule_no as application_no,
    documents.document_no,
    rules.rule_no,
    documents.business_date,
    case
        when documents.currency = rules.currency or rules.activity <> 'purchase_amount' then 1
        else rates.rate
    end as rate,
    cast(cast(rates.rate as decimal(38, 8)) * 100000000 as hugeint) as rate_e8,
    worth.document_no is not null and (rules.loyalty_tender = 'no_earn' or worth.unknown) as earns_nothing,
    worth.document_no is not null and rules.loyalty_tender = 'earn_on_rest' as earns_on_rest,
    coalesce(worth.worth, 0) as loyalty_tender_worth,
    coalesce(worth.unit, 1) as worth_unit,
    coalesce(worth.sale_cents, 0) as sale_cents
from documents
inner join enrolments
    on documents.document_no = enrolments.document_no
    and documents.card_id = enrolments.card_id
inner join loyalty._channel_schemes as schemes
    on documents.channel_id is not distinct from schemes.channel_id
    and documents.business_date = schemes.business_date
inner join loyalty._rules as rules
    on documents.version = rules.version
    and schemes.scheme_id = rules.scheme_id
    and enrolments.program_id = rules.program_id
    and documents.activity_type is not distinct from rules.activity_type
    and (rules.valid_from is null or documents.business_date >= rules.valid_from)
    and (rules.valid_to is null or documents.business_date <= rules.valid_to)
left join loyalty._tier_of_day as tiers
    on documents.document_no = tiers.document_no
    and documents.card_id = tiers.card_id
    and enrolments.program_id = tiers.program_id
left join loyalty._affiliated as affiliated
    on documents.document_no = affiliated.document_no
    and documents.card_id = affiliated.card_id
    and rules.affiliation_id = affiliated.affiliation_id
left join excluded
    on documents.document_no = excluded.document_no
    and documents.card_id = excluded.card_id
    and rules.scheme_id = excluded.scheme_id
left join loyalty._tender_worth as worth
    on documents.document_no = worth.document_no
left join loyalty._rates as rates
    on documents.currency = rates.from_currency
    and rules.currency = rates.to_currency
    and documents.business_date = rates.business_date
where
    (rules.tier_id is null or rules.tier_id = tiers.tier_id)
    and (rules.affiliation_id is null or affiliated.affiliation_id is not null)
    and excluded.scheme_id is null

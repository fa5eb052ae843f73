-- Effects on points that could not be honoured, of the business dates that change tonight.
-- grain: transaction_id, card_id, reason
with

untouched as (
    select *
    from loyalty.exceptions
    where
        business_date in (select business_date from loyalty._affected_exception_days)
        and transaction_id not in (select document_id from loyalty._worked_out)
),

exceptions as (
    select * from untouched
    union all by name
    select *
    from loyalty._exceptions
    where business_date in (select business_date from loyalty._affected_exception_days)
)

select
    exceptions.transaction_id,
    exceptions.card_id,
    exceptions.reason,
    exceptions.detail,
    exceptions.business_date,
    case when dismissals.document_id is null then 'open' else 'dismissed' end as status
from exceptions
left join loyalty._dismissals as dismissals
    on exceptions.transaction_id = dismissals.document_id
    and exceptions.reason = dismissals.reason
    and exceptions.card_id is not distinct from dismissals.card_id

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
    transaction_id,
    card_id,
    reason,
    detail,
    business_date
from exceptions
